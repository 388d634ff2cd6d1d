import { expect, test } from 'vitest'

import { blockNames, read, weighted } from './blocks'

test('the blocks of a file, else those of its family', () => {
  expect([blockNames(0, 'sd1').length, blockNames(0, 'sdxl').length, blockNames(undefined, null)[12]]).toEqual([25, 19, 'MID'])
  expect(blockNames(13, 'sd1')).toEqual('IN00 IN01 IN02 IN03 IN04 IN05 MID OUT00 OUT01 OUT02 OUT03 OUT04 OUT05'.split(' '))
})

test.each([
  ['even', [0.5, 0.5, 0.5, 0.5, 0.5]],
  ['rising', [0, 0.13, 0.25, 0.38, 0.5]],
  ['middle', [0, 0.25, 0.5, 0.25, 0]],
  ['ends', [0.5, 0.25, 0, 0.25, 0.5]],
  ['second', [0, 0, 0, 0.5, 0.5]],
] as const)('%s', (shape, weights) => {
  expect(weighted(shape, 5, 0.5)).toEqual(weights)
})

test('what other tools write is read, if it is whole', () => {
  expect(read('0, 0.5 1', 3)).toEqual([0, 0.5, 1])
  expect([read('0,1', 3), read('0,x,1', 3)]).toEqual([null, null])
})
