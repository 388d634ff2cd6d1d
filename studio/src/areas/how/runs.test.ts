import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import { api } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'
import { useJobs } from '@/stores/jobs'
import { session } from '@/stores/who'

import { useRuns } from './runs'

const RECIPE = { prompt: 'a fox', negative: 'rain', seed: '18446744073709551615', steps: 9, guidance_scale: 4, sampler: 'euler', model: 'ink', model_hash: 'ab', width: 64, height: 96 }
let recipes: Record<string, unknown>[]
let priority: number
let recipe: object | null

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  useCatalogue().models = [{ kind: 'checkpoints', name: 'builtin' }, { kind: 'checkpoints', name: 'large', family: 'sdxl' }] as never
  vi.spyOn(api, 'GET').mockImplementation((() => Promise.resolve({ data: { recipe }, response: new Response() })) as never)
  vi.spyOn(api, 'POST').mockImplementation(((_: string, { body }: { body: { recipes: typeof recipes; priority: number } }) => {
    ;({ recipes, priority } = body)
    return Promise.resolve({ data: recipes.map((one, i) => ({ id: `j${i}`, state: 'done', body: one })), response: new Response() })
  }) as never)
})
afterEach(() => {
  session.value = null
  vi.restoreAllMocks()
})

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

test('after a reload it is the same picture still', async () => {
  recipe = RECIPE
  await useRuns().retrace('p1')
  await nextTick()
  setActivePinia(createPinia())
  await useRuns().start()
  expect(recipes).toEqual([RECIPE])
})

test.each([['admin', 1], ['user', 0]] as const)('who may not overtake others does not ask to: %s', async (role, asked) => {
  session.value = { name: 'bob', role, accounts: true }
  await useRuns().start()
  expect(priority).toBe(asked)
})

test('what is looked at no more is not made any more', async () => {
  const jobs = useJobs()
  const act = vi.spyOn(jobs, 'act').mockImplementation(async () => undefined)
  const runs = useRuns()
  await runs.start()
  jobs.known.set('j0', { ...jobs.known.get('j0')!, state: 'running' })
  vi.mocked(api.POST).mockImplementation((() => Promise.resolve({ data: [{ id: 'k0', state: 'queued', body: {} }], response: new Response() })) as never)
  await runs.start()
  expect(act.mock.calls).toEqual([['j0', 'cancel']])
  await runs.cancel()
  expect(act.mock.calls.at(-1)).toEqual(['k0', 'cancel'])
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
