// Answers overtake each other. What shows the state of something asks for it by this, so that an older answer changes nothing.

/** A call whose answers are taken in the order in which they were asked for: one that comes after a newer is dropped, as is its failure. */
export function newest<A extends unknown[], D>(ask: (...asked: A) => Promise<D>, take: (found: D) => void): (...asked: A) => Promise<void> {
  let calls = 0
  let taken = 0
  return async (...asked) => {
    const own = ++calls
    try {
      const found = await ask(...asked)
      if (own < taken) return
      taken = own
      take(found)
    } catch (error) {
      if (own > taken) throw error
    }
  }
}
