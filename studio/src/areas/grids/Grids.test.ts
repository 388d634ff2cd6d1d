import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { api } from '@/api/client'
import PromptBox from '@/prompt/PromptBox.vue'
import { suggestions } from '@/prompt/complete'
import { useCatalogue } from '@/recipe/catalogue'

import Base from './Base.vue'
import Grids from './Grids.vue'
import { useGrids } from './store'

afterEach(() => vi.restoreAllMocks())

test('the recipe of a picture is taken once: a reload keeps what was changed since', async () => {
  setActivePinia(createPinia())
  const data = { recipe: { prompt: 'a fox' }, models: [], fields: [], samplers: [], jobs: [], count: 1, seconds: null }
  for (const method of ['GET', 'POST'] as const)
    vi.spyOn(api, method).mockImplementation((() => Promise.resolve({ data, response: new Response() })) as never)
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/grids', component: Grids }] })
  await router.push('/grids?recipe=a')
  mount(Grids, { shallow: true, global: { plugins: [router] } })
  await flushPromises()
  expect(useGrids().draft.recipe.prompt).toBe('a fox')
  expect(router.currentRoute.value.fullPath).toBe('/grids')
})

test.each([
  ['<lora:in', '<lora:ink:0.8> brush'],
  ['<hypernet:an', '<hypernet:anime:1>'],
  ['__ani', '__animals__'],
  ['backl', 'backlighting'],
  ['逆光', 'backlighting'],
  ['eas', 'easy'],
])('the prompts of a grid complete all that those of Create do: %s', async (typed, insert) => {
  setActivePinia(createPinia())
  vi.spyOn(api, 'GET').mockResolvedValue({ data: [{ name: 'animals' }], response: new Response() } as never)
  const card = (kind: string, name: string, more: object = {}) => ({ kind, name, title: '', trigger_words: [], ...more })
  useCatalogue().models = [card('loras', 'ink', { weight: 0.8, trigger_words: ['brush'] }), card('hypernetworks', 'anime'), card('embeddings', 'easy')] as never
  const page = mount(Base, { global: { stubs: { PromptBox: true } } })
  await flushPromises()
  for (const box of page.findAllComponents(PromptBox)) expect(suggestions(typed, box.props('sources'))[0]?.insert).toBe(insert)
})
