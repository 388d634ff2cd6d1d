import { expect, test } from 'vitest'

import { has, joined, parted, toggled } from './axes'

test.each([
  [['Euler a', 'LCM'], 'Euler a, LCM'],
  [['a cat, sitting', 'say "hi"'], '"a cat, sitting", "say ""hi"""'],
  [[], ''],
])('%j is written %s and read back', (words, text) => {
  expect(joined(words)).toBe(text)
  expect(parted(text)).toEqual(words)
})

test('what people type is read', () => {
  expect(parted(' 1-3 (+2) ,, 5\n7, "a, b')).toEqual(['1-3 (+2)', '5', '7', 'a, b'])
})

test('a press puts a word in and takes it out again', () => {
  expect(toggled('', 'LCM')).toBe('LCM')
  expect(toggled('Euler a, lcm', 'LCM')).toBe('Euler a')
  expect(has('Euler a, lcm', 'LCM')).toBe(true)
  expect(has('Euler a', 'Euler')).toBe(false)
})
