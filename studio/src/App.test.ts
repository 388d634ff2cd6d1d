import { flushPromises, mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { expect, test, vi } from 'vitest'

import { api, type JobView } from './api/client'
import App from './App.vue'
import { useJobs } from './stores/jobs'
import { signedOut } from './stores/who'

let link: (there: boolean) => void
vi.mock('./api/events', () => ({ follow: (heard: { link: typeof link }) => ((link = heard.link), () => undefined) }))
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

test('where a session ends while a dialog is open the form comes above it, and the dialog stays', async () => {
  vi.spyOn(api, 'GET').mockImplementation(((path: string) => Promise.resolve({ data: path.endsWith('/jobs') ? { jobs: [] } : {}, response: new Response() })) as never)
  const page = mount(App, { global: { plugins: [createPinia()], stubs: { Navigation: true, RouterView: true, Terms: true } }, attachTo: document.body })
  await flushPromises()
  page.findComponent({ name: 'Navigation' }).vm.$emit('appearance')
  await flushPromises()
  const dialogs = () => [...document.querySelectorAll('[role=dialog]')]
  expect(dialogs()).toHaveLength(1)
  signedOut.value = true
  await flushPromises()
  expect(dialogs().map((one) => one.querySelector('.sign-in') !== null)).toEqual([false, true])
  signedOut.value = false
  await flushPromises()
  expect(dialogs().map((one) => one.querySelector('.sign-in') !== null)).toEqual([false])
  page.unmount()
})

test("the page's title tells how far one's own job is", async () => {
  vi.spyOn(api, 'GET').mockImplementation(((path: string) => Promise.resolve({ data: path.endsWith('/jobs') ? { jobs: [] } : {}, response: new Response() })) as never)
  const page = mount(App, { global: { plugins: [createPinia()], stubs: { Navigation: true, RouterView: true, Terms: true } } })
  await flushPromises()
  useJobs().known.set('a', { id: 'a', state: 'running', progress: 0.478, group: null } as JobView)
  await flushPromises()
  expect(document.title).toBe('47% · Create · fromnoise')
  useJobs().known.set('a', { id: 'a', state: 'done', progress: 1, group: null } as JobView)
  await flushPromises()
  expect(document.title).toBe('Create · fromnoise')
  page.unmount()
})
