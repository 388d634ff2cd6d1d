import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import Queue from './Queue.vue'
import Row from './Row.vue'

vi.mock('vue-router', () => ({ useRouter: () => ({}) }))
afterEach(() => vi.restoreAllMocks())

async function queueOf(n: number) {
  setActivePinia(createPinia())
  const line = Array.from({ length: n }, (_, i) => ({ id: `j${String(i).padStart(4, '0')}`, kind: 'picture', state: 'queued', body: {} }))
  vi.spyOn(api, 'GET').mockImplementation(((path: string, { params }: { params?: { query: { limit: number } } } = {}) => {
    const data = path.endsWith('/line') ? line.slice(0, params!.query.limit) : path.endsWith('/about') ? { counts: { queued: n }, held: false, role: 'user' } : { wait: 1 }
    return Promise.resolve({ data, response: new Response() })
  }) as never)
  const page = mount(Queue, { global: { stubs: { Row: true } } })
  await flushPromises()
  return page
}
const laters = (page: Awaited<ReturnType<typeof queueOf>>) => page.findAllComponents(Row).map((row) => row.props('later'))

test('the queue says how many wait beyond those that it lists, and moves none to an end that is not seen', async () => {
  const page = await queueOf(230)
  expect(page.text()).toContain('and 30 more')
  expect(page.text()).toContain('(230)')
  expect(laters(page).slice(-3)).toEqual(['j0199', undefined, undefined])
})

test('a short queue is seen to its end', async () => {
  const page = await queueOf(3)
  expect(page.text()).not.toContain('more')
  expect(laters(page)).toEqual(['j0002', null, undefined])
})
