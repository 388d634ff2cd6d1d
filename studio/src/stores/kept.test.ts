import { expect, test } from 'vitest'

import { keep, kept } from './kept'

test('what was kept comes back, and what is unknown or of another type does not', () => {
  keep('x', { steps: 30, prompt: 7, list: {}, gone: 1, schedule: 'karras' })
  expect(kept('x', { steps: 20, prompt: '', list: [1], schedule: null })).toEqual({
    steps: 30,
    prompt: '',
    list: [1],
    schedule: 'karras',
  })
})

test.each(['{', 'null', '[1]', '7'])('%s is nothing', (text) => {
  localStorage.setItem('fromnoise.x', text)
  expect(kept('x', { a: 1 })).toEqual({ a: 1 })
})
