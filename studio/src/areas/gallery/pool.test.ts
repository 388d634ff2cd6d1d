import { expect, test } from 'vitest'

import { Pool, type Cell } from './pool'

const cards = Array.from({ length: 1000 }, (_, i) => ({ thumb: `/thumb/${i}` }))
const model = document.createElement('li')
model.append(document.createElement('button'))
model.firstElementChild!.append(document.createElement('canvas'))

function made() {
  const asked: string[] = []
  const kept = new Set<string>() // whose loading was not ended
  const come: (() => void)[] = []
  const bring = (url: string, signal: AbortSignal) => {
    asked.push(url)
    kept.add(url)
    signal.addEventListener('abort', () => kept.delete(url))
    return new Promise<ImageBitmap>((give) => come.push(() => give({ width: 3, height: 2, close: () => undefined } as ImageBitmap)))
  }
  const list = document.createElement('ul')
  const write = (cell: Cell<{ thumb: string }>) => (cell.element.dataset.index = String(cell.index))
  const pool = new Pool(list, model, write, bring)
  const draw = (first: number, end: number, all = cards, look = '') =>
    pool.draw({ cards: all, part: { first, end }, screen: { first, end }, look })
  const shown = () => [...list.children].map((one) => Number((one as HTMLElement).dataset.index))
  return { list, pool, draw, shown, asked, kept, come }
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

test('pictures begin to load a few at a time, and each is asked for once', () => {
  const { draw, asked } = made()
  let frames = 1
  while (draw(40, 70)) frames++
  expect(frames).toBeGreaterThan(5)
  expect([...asked].sort()).toEqual(range(40, 70).map((i) => `/thumb/${i}`))
})

test('what was passed before it began to load is not loaded', () => {
  const { draw, asked, kept } = made()
  draw(0, 30)
  while (draw(300, 330));
  expect([...kept].sort()).toEqual(range(300, 330).map((i) => `/thumb/${i}`))
  expect(asked.length).toBe(34) // 4 of the first 30 had begun: their loading was ended
})

test('a picture is not seen in the cell of another', async () => {
  const { list, draw, come } = made()
  while (draw(0, 4));
  const seen = () => [...list.querySelectorAll('canvas')].map((one) => one.style.visibility)
  expect(seen()).toEqual(Array(4).fill('hidden'))
  come.slice(1).forEach((one) => one())
  await Promise.resolve().then().then().then()
  expect(sorted(seen().map((one) => one.length))).toEqual([0, 0, 0, 'hidden'.length])
  draw(4, 8)
  come[0]!() // too late
  await Promise.resolve().then().then().then()
  expect(seen()).toEqual(Array(4).fill('hidden'))
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
