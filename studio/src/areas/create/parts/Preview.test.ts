import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api, type JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import Preview from './Preview.vue'

afterEach(() => vi.restoreAllMocks())

const job = (state: JobView['state']) => ({ id: 'p', kind: 'preprocess', state, step: 0, steps: 1, progress: 0 }) as JobView
const answered = (data: unknown) => Promise.resolve({ data, response: new Response() }) as never

test('a preview of a control can be cancelled, and is no hint then', async () => {
  setActivePinia(createPinia())
  const jobs = useJobs()
  const post = vi.spyOn(api, 'POST').mockImplementation(((path: string) => answered(job(path.endsWith('/errands') ? 'running' : 'cancelled'))) as never)
  const page = mount(Preview, { props: { entry: { preprocessor: 'canny' }, size: { width: 64, height: 64 }, start: 'a' } })
  await page.find('button').trigger('click')
  await flushPromises()
  expect(post.mock.calls[0]?.[1]).toMatchObject({ body: { work: { kind: 'preprocess', picture: 'a', preprocessor: 'canny' } } })
  await page.find('button[aria-label=Cancel]').trigger('click')
  await flushPromises()
  expect(post.mock.calls[1]).toEqual(['/api/v1/jobs/{job}/{action}', { params: { path: { job: 'p', action: 'cancel' } } }])
  expect(jobs.known.get('p')?.state).toBe('cancelled')
  expect(page.text()).toContain('Cancelled.')
  expect(page.find('img').exists()).toBe(false)
  expect(page.find('button').attributes('aria-busy')).not.toBe('true')
})
