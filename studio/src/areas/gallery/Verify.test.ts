import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api, type JobView, type Schemas } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import Verify from './Verify.vue'

afterEach(() => vi.restoreAllMocks())

const job = (id: string, state: JobView['state']) => ({ id, kind: 'verify', state, step: 0, steps: 1, progress: 0 }) as JobView
const answered = (data: unknown) => Promise.resolve({ data, response: new Response() }) as never

test('a check can be cancelled, and asked for again', async () => {
  setActivePinia(createPinia())
  const jobs = useJobs()
  const post = vi.spyOn(api, 'POST').mockImplementation(((path: string) =>
    path.endsWith('/errands') ? answered(job(`v${post.mock.calls.length}`, 'running')) : answered(job('v1', 'cancelled'))) as never)
  const page = mount(Verify, { props: { view: { sha256: 'a' } as Schemas['PictureView'] } })
  const verify = () => page.find('button')
  await verify().trigger('click')
  await flushPromises()
  expect(jobs.known.get('v1')?.state).toBe('running')
  await page.find('button[aria-label=Cancel]').trigger('click')
  await flushPromises()
  expect(post.mock.calls[1]).toEqual(['/api/v1/jobs/{job}/{action}', { params: { path: { job: 'v1', action: 'cancel' } } }])
  expect(page.text()).toContain('Cancelled.')
  await verify().trigger('click')
  await flushPromises()
  expect(post).toHaveBeenCalledTimes(3)
  expect(page.text()).not.toContain('Cancelled.')
})
