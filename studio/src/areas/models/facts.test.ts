import { expect, test } from 'vitest'

import type { Schemas } from '@/api/client'

import { facts, tagOf } from './facts'

const CARD = {
  kind: 'loras', name: 'cat', file: 'a/cat.safetensors', size: 144_000_000, parameters: 0, dtypes: ['float16'], weight: 0.8,
  family: 'sd1', base: '', author: '', sha256: 'abc', short_hash: null, tensors_hash: null, old_hash: null, holds: null, prediction: null,
} as unknown as Schemas['ModelCard']

test('only what is known is told', () => {
  expect(facts(CARD).map(({ key }) => key)).toEqual(['family', 'dtypes', 'size', 'file', 'hash'])
})

test('tags are those of prompts', () => {
  expect(tagOf(CARD)).toBe('<lora:cat:0.8>')
  expect(tagOf({ ...CARD, kind: 'embeddings' })).toBe('cat')
  expect(tagOf({ ...CARD, kind: 'vae' })).toBe('')
})
