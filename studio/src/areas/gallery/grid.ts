// Which pictures of a long grid are on the screen: only these, and a few rows around them, are elements of the page.

export interface Grid {
  columns: number
  /** Width and height of a cell with its gap, in pixels. */
  cell: number
  /** Of the whole grid. */
  height: number
}

export interface Window {
  /** The pictures from `first` up to, but without, `end` are shown. */
  first: number
  end: number
}

const AROUND = 3 // rows kept above and below

/** `count` square cells of about `wanted` pixels in a grid of `width`. */
export function grid(count: number, width: number, wanted: number): Grid {
  const columns = Math.max(1, Math.floor(width / wanted))
  const cell = width / columns
  return { columns, cell, height: Math.ceil(count / columns) * cell }
}

/** What is seen of it by a view of `height` that is `scrolled` beyond the grid's top: as many cells wherever it is, but for the end. */
export function seen({ columns, cell }: Grid, count: number, scrolled: number, height: number): Window {
  const from = Math.max(0, Math.floor(scrolled / cell) - AROUND)
  const rows = Math.ceil(height / cell) + 1 + 2 * AROUND
  return { first: Math.min(count, from * columns), end: Math.min(count, (from + rows) * columns) }
}

/** The cells that are on the screen, with those that are so in part. */
export function screen({ columns, cell }: Grid, scrolled: number, height: number): Window {
  return { first: Math.floor(scrolled / cell) * columns, end: Math.ceil((scrolled + height) / cell) * columns }
}

/** How far to scroll for the same pictures to be seen after `came` pictures came before all others; at the top what came is seen. */
export function held({ columns, cell }: Grid, scrolled: number, came: number): number {
  const row = Math.floor(scrolled / cell)
  return scrolled > 0 ? scrolled + (Math.floor((row * columns + came) / columns) - row) * cell : scrolled
}

/** Where a picture's cell begins, in pixels from the left and from the top. */
export function place({ columns, cell }: Grid, index: number): [number, number] {
  return [(index % columns) * cell, Math.floor(index / columns) * cell]
}
