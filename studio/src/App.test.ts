import { flushPromises, mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { expect, test, vi } from 'vitest'

import { api } from './api/client'
import App from './App.vue'

let link: (there: boolean) => void
vi.mock('./api/events', () => ({ follow: (_: unknown, onLink: typeof link) => ((link = onLink), () => undefined) }))
vi.mock('vue-router', () => ({ useRoute: () => ({ name: 'create' }) }))

test('the jobs are asked for once at the start', async () => {
  const get = vi.spyOn(api, 'GET').mockImplementation(((path: string) =>
    Promise.resolve({ data: path.endsWith('/jobs') ? { jobs: [] } : {}, response: new Response() })) as never)
  const page = mount(App, { global: { plugins: [createPinia()], stubs: { Navigation: true, RouterView: true, Terms: true } } })
  await flushPromises()
  link(true)
  await flushPromises()
  expect(get.mock.calls.filter((asked) => String(asked[0 as never]) === '/api/v1/jobs')).toHaveLength(1)
  page.unmount()
})

test('a file that falls beside a place for it leaves the page where it is', async () => {
  vi.spyOn(api, 'GET').mockResolvedValue({ data: {}, response: new Response() } as never)
  const page = mount(App, { global: { plugins: [createPinia()], stubs: { Navigation: true, RouterView: true, Terms: true } } })
  const fall = (kind: string, what: string) => {
    const event = Object.assign(new Event(kind, { bubbles: true, cancelable: true }), { dataTransfer: { types: [what], dropEffect: '' } })
    page.find('main').element.dispatchEvent(event)
    return event.defaultPrevented
  }
  expect(['dragover', 'drop'].map((kind) => fall(kind, 'Files'))).toEqual([true, true])
  expect(fall('drop', 'text/plain')).toBe(false)
  page.unmount()
})
