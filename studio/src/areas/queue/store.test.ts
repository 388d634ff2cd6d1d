import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import Queue from './Queue.vue'
import Row from './Row.vue'

vi.mock('vue-router', () => ({ useRouter: () => ({}) }))
afterEach(() => vi.restoreAllMocks())

async function queueOf(n: number, wait = 1) {
  setActivePinia(createPinia())
  const line = Array.from({ length: n }, (_, i) => ({ id: `j${String(i).padStart(4, '0')}`, kind: 'picture', state: 'queued', body: {} }))
  vi.spyOn(api, 'GET').mockImplementation(((path: string, { params }: { params?: { query: { limit: number } } } = {}) => {
    const data = path.endsWith('/line') ? line.slice(0, params!.query.limit) : path.endsWith('/about') ? { counts: { queued: n }, held: false, role: 'user' } : { wait }
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

test.each([
  [0.4, ''],
  [42.2, '42 s'],
  [1500, '25 min'],
])('how long it takes until the last of the line begins is told: %f s', async (seconds, told) => {
  const wait = (await queueOf(2, seconds)).find('.wait')
  if (told) expect(wait.text()).toContain(told)
  else expect(wait.text()).toBe('')
})

test('a drag that is broken off moves nothing', async () => {
  const page = await queueOf(3)
  const put = vi.spyOn(api, 'PUT').mockResolvedValue({ data: {}, response: new Response() } as never)
  const first = () => page.findAllComponents(Row)[0]!
  const drag = (end: 'cancel' | 'drop') => {
    first().vm.$emit('grab', { button: 0, target: document.createElement('button') })
    first().vm.$emit('drag', { clientY: 1e4 })
    first().vm.$emit(end)
    first().vm.$emit('drop') // the pointer is gone: it has nothing to drop any more
  }
  drag('cancel')
  expect(put).not.toHaveBeenCalled()
  drag('drop')
  expect(put).toHaveBeenCalledTimes(1)
})
