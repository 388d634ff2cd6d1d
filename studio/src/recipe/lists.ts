// Lists of a recipe.
import type { Kind } from './schema'

/** The list with one entry at another place. */
export function moved<T>(all: readonly T[], from: number, to: number): T[] {
  const left = [...all]
  left.splice(to, 0, ...left.splice(from, 1))
  return left
}

/** A table without one of its entries. */
export function less(table: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).filter(([key]) => key !== name))
}

/** "middle_block, input_blocks.4" or "1, 0.5" as a list; stages such as 0.5@1.2 stay as they are written. */
export function readValues(text: string, kind: Kind): (string | number)[] {
  const words = text.split(/[\s,]+/).filter(Boolean)
  return kind === 'number' || kind === 'integer' ? words.map(Number).filter(Number.isFinite) : words
}
