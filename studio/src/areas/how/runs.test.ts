import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'

import { useRuns } from './runs'

const RECIPE = { prompt: 'a fox', negative: 'rain', seed: '18446744073709551615', steps: 9, guidance_scale: 4, sampler: 'euler', model: 'ink', model_hash: 'ab', width: 64, height: 96 }
let recipes: Record<string, unknown>[]
let recipe: object | null

beforeEach(() => {
  localStorage.clear()
  setActivePinia(createPinia())
  useCatalogue().models = [{ kind: 'checkpoints', name: 'builtin' }, { kind: 'checkpoints', name: 'large', family: 'sdxl' }] as never
  vi.spyOn(api, 'GET').mockImplementation((() => Promise.resolve({ data: { recipe }, response: new Response() })) as never)
  vi.spyOn(api, 'POST').mockImplementation(((_: string, { body }: { body: { recipes: typeof recipes } }) => {
    recipes = body.recipes
    return Promise.resolve({ data: recipes.map((one, i) => ({ id: `j${i}`, state: 'done', body: one })), response: new Response() })
  }) as never)
})
afterEach(() => vi.restoreAllMocks())

test('what is laid beside a picture of the gallery is that picture but for one thing', async () => {
  recipe = RECIPE
  const runs = useRuns()
  await runs.retrace('p1')
  expect(recipes).toEqual([RECIPE])
  runs.wanted.axis = 'guidance_scale'
  await runs.start()
  expect(recipes).toEqual([1, 2, 4, 8].map((guidance_scale) => ({ ...RECIPE, guidance_scale })))
  Object.assign(runs.wanted, { axis: 'none', model: 'large' })
  await runs.start()
  const rest: Partial<typeof RECIPE> = { ...RECIPE }
  delete rest.model_hash
  expect(recipes).toEqual([{ ...rest, model: 'large' }]) // the hash was the other model's
})

test('without a picture a model draws in the size that it was made for', async () => {
  const runs = useRuns()
  Object.assign(runs.wanted, { prompt: 'a cup', model: 'large' })
  await runs.start()
  expect(recipes[0]).toMatchObject({ prompt: 'a cup', model: 'large', width: 1024, height: 1024 })
})

test('a picture without a recipe is told', async () => {
  recipe = null
  await expect(useRuns().retrace('p1')).rejects.toThrow('no recipe')
})
