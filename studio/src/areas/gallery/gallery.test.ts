import { expect, test } from 'vitest'

import { ALL, query } from './gallery'

test('what is not said is not asked', () => {
  expect(query({ ...ALL, words: '  ' })).toEqual({ deleted: false })
})

test('filters are what the server calls them', () => {
  expect(query({ ...ALL, words: ' red apple ', model: 'builtin', favourite: true, deleted: true })).toEqual({
    words: 'red apple', model: 'builtin', favourite: true, deleted: true,
  })
})

test('a day is whole', () => {
  const { since, until } = query({ ...ALL, since: '2026-03-01', until: '2026-03-01' })
  expect(Number(until) - Number(since)).toBe(86_400)
})
