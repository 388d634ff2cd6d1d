// Answers overtake each other. What shows the state of something asks for it by this, so that an older answer changes nothing.

/** A call of which the newest counts: `take` is given its answer alone. Each call ends when the newest has. */
export function newest<A extends unknown[], D>(ask: (...asked: A) => Promise<D>, take: (found: D) => void): (...asked: A) => Promise<void> {
  let last: Promise<void> | undefined
  return (...asked) => {
    const own: Promise<void> = ask(...asked).then(
      (found) => (own === last ? take(found) : last),
      (error: unknown) => {
        if (own === last) throw error
        return last
      },
    )
    last = own
    return own
  }
}
