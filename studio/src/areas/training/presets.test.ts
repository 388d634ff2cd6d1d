import { expect, test } from 'vitest'

import { preset } from './presets'

const LORA = { name: 'lora', steps: 1000 }

test('more pictures take more steps, and larger batches', () => {
  expect(preset('usual', LORA, 20)).toEqual({ steps: 1200, batch: 1, rank: 16, alpha: 8 })
  expect(preset('usual', LORA, 60).batch).toBe(2)
  expect(preset('quick', LORA, 1).steps).toBe(100)
})

test('steps stay within what the method takes', () => {
  expect(preset('thorough', LORA, 10_000).steps).toBe(3000)
  expect(preset('thorough', { name: 'embedding', steps: 1000 }, 3)).toEqual({ steps: 1000, batch: 1 })
})
