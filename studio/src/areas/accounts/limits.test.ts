import { expect, test } from 'vitest'

import { bytesOf, gigabytesOf, typed } from './limits'

test('an empty field is no limit, zero is none at all', () => {
  expect([typed(''), typed('  '), typed('0'), typed(20), typed('-3')]).toEqual([null, null, 0, 20, null])
})

test('room is typed in gigabytes', () => {
  expect(bytesOf('1.5')).toBe(1_500_000_000)
  expect([gigabytesOf(1_500_000_000), gigabytesOf(null), bytesOf(gigabytesOf(2_000_000))]).toEqual(['1.5', '', 2_000_000])
})
