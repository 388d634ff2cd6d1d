import { enableAutoUnmount, flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api, type JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import Stage from './Stage.vue'

vi.mock('vue-router', () => ({ useRouter: () => ({}) }))
enableAutoUnmount(afterEach)
afterEach(() => vi.restoreAllMocks())

const job = (id: string, more: Partial<JobView> = {}) =>
  ({ id, kind: 'picture', state: 'running', group: 'g', step: 0, steps: 1000, progress: 0, body: { prompt: id }, ...more }) as unknown as JobView

function shown(one: JobView, place = { ahead: 0, wait: null as number | null }) {
  vi.spyOn(api, 'GET').mockResolvedValue({ data: place, response: new Response() } as never)
  setActivePinia(createPinia())
  vi.spyOn(useJobs(), 'act').mockResolvedValue()
  useJobs().add([one, job('2', { state: 'queued' }), job('3', { group: 'h' })])
  return mount(Stage, { props: { job: one } })
}

test('an order of several is cancelled by one press', async () => {
  const page = shown(job('1'))
  await page.findAll('button').find((one) => one.text() === 'Cancel all 2')!.trigger('click')
  expect(vi.mocked(useJobs().act).mock.calls).toEqual([['1', 'cancel'], ['2', 'cancel']])
  expect(shown(job('1', { group: null })).text()).not.toContain('Cancel all')
})

test('that memory ran out is told beside the picture', () => {
  expect(shown(job('1', { state: 'done', remarks: ['out of memory'] })).find('.remark').text()).toBe('out of memory')
  expect(shown(job('1')).find('.remark').exists()).toBe(false)
})

test('a long time is told in minutes', async () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const page = shown(job('1', { state: 'queued' }))
  await page.setProps({ job: job('1', { step: 1 }) })
  now = 1000
  await page.setProps({ job: job('1', { step: 2 }) })
  expect(page.text()).toContain('17 min left')
  await page.setProps({ job: job('1', { step: 950 }) })
  expect(page.text()).toMatch(/\d+ s left/)
  await page.setProps({ job: job('1', { step: 950, state: 'paused' }) })
  now = 1_000_000
  await page.setProps({ job: job('1', { step: 950 }) })
  now += 1000
  await page.setProps({ job: job('1', { step: 951 }) })
  expect(page.text()).toContain('49 s left') // the pause does not count
})

test.each([
  [{ ahead: 0, wait: null }, 'Waiting for its turn'],
  [{ ahead: 1, wait: 41.7 }, 'Waiting for its turn|1 job before it|begins in about 42 s'],
  [{ ahead: 12, wait: 600 }, 'Waiting for its turn|12 jobs before it|begins in about 10 min'],
])('what waits says how many are before it, and how long that takes: %j', async (place, told) => {
  const page = shown(job('1', { state: 'queued' }), place)
  const ask = vi.mocked(api.GET)
  await flushPromises()
  expect(page.find('.progress .soft').text().replace(/\s+/g, ' ')).toBe(told.replaceAll('|', ''))
  const before = ask.mock.calls.length
  await page.setProps({ job: job('1', { step: 1 }) }) // it begins: nothing is asked any more
  await flushPromises()
  expect(ask).toHaveBeenCalledTimes(before)
  expect(page.text()).not.toContain('Waiting')
})
