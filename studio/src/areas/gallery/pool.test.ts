import { expect, test } from 'vitest'

import { Pool, type Cell } from './pool'

const cards = Array.from({ length: 1000 }, (_, i) => ({ thumb: `/thumb/${i}` }))
const model = document.createElement('li')
model.append(document.createElement('button'))
model.firstElementChild!.append(document.createElement('img'))

function made() {
  const list = document.createElement('ul')
  const write = (cell: Cell<{ thumb: string }>) => (cell.element.dataset.index = String(cell.index))
  const pool = new Pool(list, model, write)
  const draw = (first: number, end: number, all = cards, look = '') =>
    pool.draw({ cards: all, part: { first, end }, screen: { first, end }, look })
  const shown = () => [...list.children].map((one) => Number((one as HTMLElement).dataset.index))
  return { list, pool, draw, shown }
}
const sorted = (numbers: number[]) => [...numbers].sort((a, b) => a - b)
const range = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i)

test('scrolling takes up the elements that are there', () => {
  const { list, draw, shown } = made()
  draw(0, 30)
  const before = new Set(list.children)
  draw(12, 42)
  expect(sorted(shown())).toEqual(range(12, 42))
  draw(700, 730)
  expect(sorted(shown())).toEqual(range(700, 730))
  expect([...list.children].every((one) => before.has(one))).toBe(true)
})

test('pictures begin to load a few at a time, and each cell gets its own', () => {
  const { list, draw } = made()
  let frames = 1
  while (draw(40, 70)) frames++
  expect(frames).toBeGreaterThan(5)
  for (const one of list.children) expect(one.querySelector('img')!.src).toMatch(new RegExp(`/thumb/${(one as HTMLElement).dataset.index}$`))
})

test('what was passed before it began to load is not loaded', () => {
  const { list, draw } = made()
  draw(0, 30)
  while (draw(300, 330));
  const asked = [...list.querySelectorAll('img')].map((one) => Number(one.src.split('/').at(-1)))
  expect(sorted(asked)).toEqual(range(300, 330))
})

test('a picture is not seen in the cell of another', () => {
  const { list, draw } = made()
  while (draw(0, 4));
  const images = [...list.querySelectorAll('img')]
  images.forEach((one) => one.dispatchEvent(new Event('load')))
  expect(images.map((one) => one.style.visibility)).toEqual(['', '', '', ''])
  draw(4, 8)
  expect(images.map((one) => one.style.visibility)).toEqual(Array(4).fill('hidden'))
})

test('fewer pictures have fewer cells, and elements are put in order', () => {
  const { list, pool, draw, shown } = made()
  draw(0, 30)
  draw(0, 3, cards.slice(5, 8))
  expect(shown()).toEqual([0, 1, 2])
  draw(0, 30)
  draw(7, 37)
  pool.sort()
  expect(shown()).toEqual(range(7, 37))
  expect(list.children[0]).toBe(pool.at(7)!.element)
})
