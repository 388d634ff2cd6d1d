// The blocks of a U-Net by their usual names, and ways to weigh them when models are merged.
export type Shape = 'even' | 'rising' | 'falling' | 'middle' | 'ends' | 'first' | 'second'
export const SHAPES: readonly Shape[] = ['even', 'rising', 'falling', 'middle', 'ends', 'first', 'second']

/** IN00 ... MID ... OUT: as many as the file has; where that is not known, 25 of SD 1 and 2, 19 of SDXL. */
export function blockNames(count: number | undefined, family: string | null | undefined): string[] {
  const each = count ? (count - 1) / 2 : family?.startsWith('sdxl') ? 9 : 12
  const side = (name: string) => Array.from({ length: each }, (_, i) => name + String(i).padStart(2, '0'))
  return [...side('IN'), 'MID', ...side('OUT')]
}

/** A weight for each of `count` blocks: where it is highest, it is `most`. */
export function weighted(shape: Shape, count: number, most: number): number[] {
  const last = count - 1
  const middle = last / 2
  const of: Record<Shape, (i: number) => number> = {
    even: () => 1,
    rising: (i) => i / last,
    falling: (i) => 1 - i / last,
    middle: (i) => 1 - Math.abs(i - middle) / middle,
    ends: (i) => Math.abs(i - middle) / middle,
    first: (i) => (i < middle ? 1 : 0),
    second: (i) => (i > middle ? 1 : 0),
  }
  return Array.from({ length: count }, (_, i) => Math.round(of[shape](i) * most * 100) / 100)
}

/** Numbers between commas or blanks, as other tools write them; null where these are not `count` numbers. */
export function read(text: string, count: number): number[] | null {
  const found = text.split(/[\s,]+/).filter(Boolean).map(Number)
  return found.length === count && found.every(Number.isFinite) ? found : null
}
