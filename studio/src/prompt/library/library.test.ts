import { expect, test } from 'vitest'

import { pieces } from '@/prompt/highlight'

import { themes } from './library'

const words = themes.flatMap((theme) => theme.words)

test('there is enough to begin with, and nothing twice', () => {
  expect(words.length).toBeGreaterThan(300)
  expect(new Set(words.map(([en]) => en)).size).toBe(words.length)
})

test.each(words)('%s is English that prompts take as it is, and %s Chinese', (en, zh) => {
  expect(en).toMatch(/^[\x20-\x7e]+$/)
  expect(en).not.toMatch(/,/)
  expect(pieces(en)).toHaveLength(1)
  expect(zh).toMatch(/[\u4e00-\u9fff]/)
})
