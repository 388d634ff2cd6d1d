import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { createRouter, createMemoryHistory } from 'vue-router'

import { api } from '@/api/client'

import Viewer from './Viewer.vue'

afterEach(() => vi.restoreAllMocks())

/** The picture p1 opened, in the bin since `deleted`; the calls that change something. */
async function opened(deleted: number | null) {
  setActivePinia(createPinia())
  const view = { id: 'p1', url: '', prompt: 'a fox', tags: [], parents: [], children: [], recipe: null, name: '', deleted, created: 0, size: 1 }
  vi.spyOn(api, 'GET').mockImplementation((() => Promise.resolve({ data: view, response: new Response() })) as never)
  const post = vi.spyOn(api, 'POST').mockImplementation((() => Promise.resolve({ data: [], response: new Response() })) as never)
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)*', component: { render: () => null } }] })
  const page = mount(Viewer, { props: { picture: 'p1' }, global: { plugins: [router], stubs: { Verify: true } } })
  await flushPromises()
  return { page, post }
}
const press = (key: string, repeat = false) => dispatchEvent(new KeyboardEvent('keydown', { key, repeat }))

test('Delete pressed twice moves a picture to the bin once', async () => {
  const { page, post } = await opened(null)
  press('Delete')
  press('Delete')
  await flushPromises()
  expect(post.mock.calls.map((asked) => String(asked[0 as never]))).toEqual(['/api/v1/gallery/delete'])
  page.unmount()
})

test('Delete does not take a picture back out of the bin', async () => {
  const { page, post } = await opened(1)
  press('Delete')
  await flushPromises()
  expect(post).not.toHaveBeenCalled()
  page.unmount()
})

test('Delete that is held down goes on to no other picture', async () => {
  const { page, post } = await opened(null)
  press('Delete', true)
  await flushPromises()
  expect(post).not.toHaveBeenCalled()
  page.unmount()
})
