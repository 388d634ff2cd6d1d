import { expect, test } from 'vitest'

import { tree } from './tree'

const leaf = (id: string, parent: string | null = null) => ({ id, parent })

test('each stands below what it was made from', () => {
  const found = tree(leaf('a'), [leaf('b', 'a'), leaf('c', 'a'), leaf('d', 'b'), leaf('x', 'gone')])
  expect(found.map(({ card, depth }) => `${depth}${card.id}`)).toEqual(['0a', '1b', '2d', '1c'])
})

test('a circle ends', () => {
  expect(tree(leaf('a', 'b'), [leaf('b', 'a'), leaf('a', 'b')]).map(({ card }) => card.id)).toEqual(['a', 'b'])
})
