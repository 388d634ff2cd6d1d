// Options by their names, as they are typed: "eta=0.5 solver=midpoint".
export type Table = Record<string, number | string | boolean>

/** The table; null where it can't be read. */
export function readTable(text: string): Table | null {
  const found: Table = {}
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [, name, value] = /^([\w-]+)=(.+)$/.exec(part) ?? []
    if (!name || !value) return null
    found[name] = value === 'true' ? true : value === 'false' ? false : Number.isFinite(Number(value)) ? Number(value) : value
  }
  return found
}

export function writtenTable(table: Record<string, unknown>): string {
  return Object.entries(table)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ')
}
