import { expect, test } from 'vitest'

import { drawn, smoothed } from './curve'

test('a curve fills its box', () => {
  const found = drawn([{ step: 0, value: 1 }, { step: 5, value: 0.5 }, { step: 10, value: 0 }], { width: 100, height: 40 })
  expect(found).toEqual({ path: 'M0.0 0.0L50.0 20.0L100.0 40.0', low: 0, high: 1 })
})

test('what is to come is left free, and what is no number is left out', () => {
  expect(drawn([{ step: 5, value: 2 }, { step: 6, value: NaN }], { width: 100, height: 40 }, 10).path).toBe('M50.0 20.0')
  expect(drawn([], { width: 100, height: 40 }).path).toBe('')
})

test('the mean begins at the first value', () => {
  expect(smoothed([{ step: 1, value: 4 }, { step: 2, value: 4 }]).map(({ value }) => value)).toEqual([4, 4])
})
