import { expect, test } from 'vitest'

import { grid, held, place, seen } from './grid'

test('cells fill the width and are about as large as wanted', () => {
  expect(grid(10, 1000, 240)).toEqual({ columns: 4, cell: 250, height: 750 })
  expect(grid(3, 100, 240)).toEqual({ columns: 1, cell: 100, height: 300 })
  expect(grid(0, 1000, 240).height).toBe(0)
})

test('only what is seen is shown, however many there are', () => {
  const all = grid(100_000, 1000, 200)
  for (const scrolled of [0, 5000, 1_000_000, all.height - 800]) {
    const { first, end } = seen(all, 100_000, scrolled, 800)
    const top = place(all, first)[1]
    expect(end - first).toBeLessThanOrEqual(60)
    expect(top).toBeLessThanOrEqual(scrolled)
    expect(top + Math.ceil((end - first) / 5) * all.cell).toBeGreaterThanOrEqual(Math.min(all.height, scrolled + 800))
  }
})

test('cells go from left to right, then down', () => {
  const all = grid(100, 1000, 200)
  expect([0, 4, 5, 12].map((index) => place(all, index))).toEqual([[0, 0], [800, 0], [0, 200], [400, 400]])
})

test('nothing is beyond the end', () => {
  expect(seen(grid(7, 1000, 200), 7, 0, 800)).toEqual({ first: 0, end: 7 })
  expect(seen(grid(7, 1000, 200), 7, 1e6, 800).first).toBe(7)
})

test('what one looks at stays where it is while newer pictures come above it', () => {
  const all = grid(1000, 1000, 250) // four columns of 250
  expect(held(all, 0, 9)).toBe(0)
  expect(held(all, 1030, 4)).toBe(1280)
  expect(held(all, 1030, 9)).toBe(1530)
  expect(held(all, 1030, 3)).toBe(1030) // they find room in the row of the first
})
