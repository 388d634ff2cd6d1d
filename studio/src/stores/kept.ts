// What this browser remembers. What it kept may be of another version, or broken: unknown and ill-typed parts are dropped.

/** `initial`, with the parts that were kept under this name and are of the same type. */
export function kept<T extends object>(name: string, initial: T): T {
  const found = read(name)
  if (found === null || typeof found !== 'object' || Array.isArray(found)) return initial
  const known = Object.entries(found).filter(([key, value]) => {
    const now = (initial as Record<string, unknown>)[key]
    return key in initial && (now === null || (typeof value === typeof now && Array.isArray(value) === Array.isArray(now)))
  })
  return { ...initial, ...Object.fromEntries(known) }
}

function read(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(`fromnoise.${name}`) ?? 'null')
  } catch {
    return null
  }
}

/** Keep something; a full or forbidden storage is no reason to stop. */
export function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(`fromnoise.${name}`, JSON.stringify(value))
  } catch {
    console.warn(`the browser keeps nothing for ${name}`)
  }
}
