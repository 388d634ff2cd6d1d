import { beforeEach, expect, test } from 'vitest'
import { nextTick } from 'vue'

import type { ModelCard } from './catalogue'
import { below, folderOf, foldersIn, meantBy, type Order, size, sorted, useOrder } from './shelf'

const card = (file: string, more: object = {}) =>
  ({ kind: 'loras', file, name: file.replace(/\.\w+$/, ''), title: '', size: 1, created: 0, changed: 0, ...more }) as unknown as ModelCard

const CARDS = [
  card('b10.pt', { size: 5, created: 30, changed: 1 }),
  card('b2.pt', { size: 9, created: 10, changed: 3 }),
  card('style/ink.pt', { size: 7, created: 20, changed: 2, title: 'A wash' }),
  card('style/old/pen.pt', { size: 3, created: 40, changed: 4 }),
]
const files = (by: Order['by'], down = false, cards = CARDS) => sorted(cards, { by, down }).map((one) => one.file)

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
})

test.each([
  ['path', ['b2.pt', 'b10.pt', 'style/ink.pt', 'style/old/pen.pt']],
  ['name', ['style/ink.pt', 'b2.pt', 'b10.pt', 'style/old/pen.pt']],
  ['created', ['b2.pt', 'style/ink.pt', 'b10.pt', 'style/old/pen.pt']],
  ['changed', ['b10.pt', 'style/ink.pt', 'b2.pt', 'style/old/pen.pt']],
  ['size', ['style/old/pen.pt', 'b10.pt', 'style/ink.pt', 'b2.pt']],
] as const)('cards by %s, up and down', (by, wanted) => {
  expect(files(by)).toEqual(wanted)
  expect(files(by, true)).toEqual([...wanted].reverse())
})

test('paths keep kinds together and the built-in model first', () => {
  const builtin = card('builtin', { kind: 'checkpoints' })
  const all = [builtin, card('a.pt', { kind: 'checkpoints' }), card('B.pt'), card('a.pt')]
  expect(files('path', false, [all[1]!, builtin, all[2]!, all[3]!])).toEqual(['builtin', 'a.pt', 'a.pt', 'B.pt'])
})

test('what is as old as another is in the order of paths', () => {
  expect(files('size', true, [card('b.pt'), card('a.pt')])).toEqual(['a.pt', 'b.pt'])
})

test('folders are those of the files, step by step', () => {
  expect(foldersIn(CARDS, '')).toEqual([{ name: 'style', path: 'style', count: 2 }])
  expect(foldersIn(CARDS, 'style')).toEqual([{ name: 'old', path: 'style/old', count: 1 }])
  expect(foldersIn(CARDS, 'style/old')).toEqual([])
  expect(below(CARDS, 'style').map(folderOf)).toEqual(['style', 'style/old'])
  expect(below(CARDS, 'sty')).toEqual([])
  expect(below(CARDS, '')).toHaveLength(4)
  expect(folderOf(card('b.pt'))).toBe('')
})

test.each([
  ['style/ink', 'style/ink'],
  ['ink', 'style/ink'],
  ['INK', 'style/ink'],
  ['style\\ink', 'style/ink'],
  ['pen', 'pen'],
  ['old/pen', 'style/old/pen'],
  ['PEN', 'PEN'],
  ['nk', undefined],
])('a prompt that says %s means %s', (name, file) => {
  const cards = ['style/PEN', 'style/ink', 'style/old/pen', 'PEN', 'pen'].map((one) => ({ name: one }))
  expect(meantBy(cards, name)?.name).toBe(file)
})

test('each page remembers its order, and takes none that there is not', async () => {
  const order = useOrder('models.order')
  order.value = { by: 'size', down: true }
  await nextTick()
  expect(useOrder('models.order').value).toEqual({ by: 'size', down: true })
  expect(useOrder('networks.order').value).toEqual({ by: 'path', down: false })
  sessionStorage.setItem('fromnoise.models.order', '{"by":"colour","down":true}')
  expect(useOrder('models.order').value).toEqual({ by: 'path', down: true })
})

test('sizes are said as people say them', () => {
  expect([999, 1000, 9_990_000, 63_993_542, 2_132_625_206, 5e15].map(size)).toEqual(['999 bytes', '1.0 kB', '10.0 MB', '64 MB', '2.1 GB', '5000 TB'])
})
