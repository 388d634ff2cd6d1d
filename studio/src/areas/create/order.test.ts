import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { reactive } from 'vue'

import { api, Problem } from '@/api/client'

import { useDraft } from './draft'
import { entriesOf, type Entry } from './parts/entries'
import { joined } from './styles'

beforeEach(() => setActivePinia(createPinia()))
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

test('pictures are asked for where browsers have no randomUUID: over http from another machine', async () => {
  vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
  const post = vi.spyOn(api, 'POST').mockImplementation((() => Promise.resolve({ data: [], response: new Response() })) as never)
  await useDraft().submit()
  await useDraft().submit()
  const keys = (post.mock.calls as unknown as [string, { body: { key: string } }][]).map(([, sent]) => sent.body.key)
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/)
  expect(keys[1]).not.toBe(keys[0])
})

test('an order that nobody answered is the same order when it is pressed again', async () => {
  const post = vi.spyOn(api, 'POST').mockImplementation((() => Promise.resolve({ data: [], response: new Response() })) as never)
  post.mockRejectedValueOnce(new Problem('offline', 'the server does not answer'))
  const { draft, submit } = useDraft()
  await expect(submit()).rejects.toThrow('does not answer')
  await submit()
  post.mockRejectedValueOnce(new Problem('offline', 'the server does not answer'))
  await expect(submit()).rejects.toThrow()
  draft.recipe.prompt = 'something else'
  await submit()
  const keys = (post.mock.calls as unknown as [string, { body: { key: string } }][]).map(([, sent]) => sent.body.key)
  expect(keys[1]).toBe(keys[0])
  expect(new Set(keys).size).toBe(3)
})

test('an entry with a picture is copied, and the copy is its own', () => {
  const recipe = reactive({ image_prompts: [{ image: { path: '', sha256: 'abc' }, weight: 0.4 }] as Entry[] })
  const entries = entriesOf('image_prompts', () => recipe.image_prompts, (all) => (recipe.image_prompts = [...(all ?? [])]))
  entries.copy(0)
  expect(recipe.image_prompts).toHaveLength(2)
  ;(recipe.image_prompts[1]!.image as { sha256: string }).sha256 = 'def'
  expect(recipe.image_prompts[0]).toEqual({ image: { path: '', sha256: 'abc' }, weight: 0.4 })
})

test('a style is written into the prompt as the server joins it', () => {
  expect(joined('a cat for $$5', 'photo of {prompt}, {prompt}')).toBe('photo of a cat for $$5, a cat for $$5')
  expect(joined(' a cat ', 'film grain')).toBe('a cat, film grain')
  expect(joined('', 'film grain')).toBe('film grain')
})
