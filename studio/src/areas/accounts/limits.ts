// What a user may have, as it is typed: an empty field is no limit.
const GIGA = 1e9

export interface Limits {
  role: 'admin' | 'user'
  pictures_a_day: number | null
  bytes: number | null
}

/** The number in a field; null where it is empty. */
export function typed(text: string | number): number | null {
  const value = typeof text === 'number' ? text : text.trim() === '' ? NaN : Number(text)
  return Number.isFinite(value) && value >= 0 ? value : null
}

export const bytesOf = (gigabytes: string | number): number | null => {
  const value = typed(gigabytes)
  return value === null ? null : Math.round(value * GIGA)
}

export const gigabytesOf = (bytes: number | null): string => (bytes === null ? '' : String(Math.round(bytes / 1e6) / 1000))
