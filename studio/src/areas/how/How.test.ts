import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { api } from '@/api/client'

import How from './How.vue'

afterEach(() => vi.restoreAllMocks())

test('a picture is watched once: a reload of the page asks for nothing', async () => {
  setActivePinia(createPinia())
  const data = { samplers: [], models: [], fields: [], recipe: { prompt: 'a fox' }, steps: [] }
  vi.spyOn(api, 'GET').mockImplementation((() => Promise.resolve({ data, response: new Response() })) as never)
  const post = vi.spyOn(api, 'POST').mockImplementation((() => Promise.resolve({ data: [{ id: 'job', state: 'queued', body: {} }], response: new Response() })) as never)
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/how', component: How }] })
  await router.push('/how?picture=a')
  mount(How, { global: { plugins: [router] } })
  await flushPromises()
  expect(post).toHaveBeenCalledTimes(1)
  expect(router.currentRoute.value.fullPath).toBe('/how')
})
