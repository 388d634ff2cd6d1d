import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { api } from '@/api/client'

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
