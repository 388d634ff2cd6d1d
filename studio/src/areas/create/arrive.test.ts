import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import * as client from '@/api/client'
import { handed } from '@/recipe/sends'
import { useCatalogue } from '@/recipe/catalogue'

import { arrive } from './arrive'
import { useDraft } from './draft'

const SENT = { sha256: 'ab', width: 64, height: 32 }
beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  vi.spyOn(useCatalogue(), 'load').mockResolvedValue()
  vi.spyOn(useCatalogue(), 'loadModels').mockResolvedValue()
  vi.spyOn(client.api, 'GET').mockResolvedValue({ data: { url: '/p1', prompt: 'a fox', recipe: { prompt: 'a fox', seed: 7, width: 64, height: 64 } }, response: new Response() } as never)
  vi.spyOn(globalThis, 'fetch').mockImplementation((asked) =>
    Promise.resolve(new Response((asked as Request).method === 'POST' ? JSON.stringify(SENT) : 'bytes')))
})
afterEach(() => vi.restoreAllMocks())

test.each(['mask', 'sketch', 'outpaint', undefined] as const)('a picture of the gallery is begun from, and what is to be done on it opens: %s', async (next) => {
  await arrive(next ? { start: 'p1', next } : { start: 'p1' })
  expect(useDraft().draft.start).toMatchObject(SENT)
  expect(useDraft().wanted).toBe(next ?? null)
})

test.each(['controls', 'image_prompts'] as const)('a picture that was sent is put into %s', async (next) => {
  expect(await arrive({ image: 'ab', next })).not.toBe('')
  const { draft } = useDraft()
  expect(draft.recipe[next]).toEqual([{ image: { path: '', sha256: 'ab' } }])
  expect(draft.start).toBeNull()
})

test('a second pass follows the recipe of a picture, with its seed', async () => {
  await arrive({ start: 'p1', next: 'hires' })
  const { draft } = useDraft()
  expect([draft.recipe.prompt, draft.seed, draft.recipe.hires, draft.start]).toEqual(['a fox', '7', { scale: 2, upscaler: 'latent', strength: 0.5 }, null])
})

test('a recipe that is handed over is taken once', async () => {
  handed.value = { prompt: 'a whale' }
  await arrive({})
  useDraft().draft.recipe.prompt = 'mine'
  await arrive({})
  expect(useDraft().draft.recipe.prompt).toBe('mine')
})

test('a trained control becomes a control, not the model', async () => {
  const { draft } = useDraft()
  await arrive({ control: 'edges' })
  expect(draft.recipe.controls).toEqual([{ model: 'edges' }])
  expect(draft.recipe.model).toBe('builtin')
})

test('a network that was just trained is known before the prompt names it', async () => {
  let known = () => undefined as void
  vi.mocked(useCatalogue().loadModels).mockImplementation(() => new Promise((go) => (known = go)))
  const { draft } = useDraft()
  const told = arrive({ add: '<lora:ink:1>' })
  await new Promise((go) => setTimeout(go))
  expect(draft.recipe.prompt).toBe('')
  known()
  await told
  expect(draft.recipe.prompt).toBe('<lora:ink:1>')
})
