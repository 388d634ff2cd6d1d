import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import type { JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'
import { preferences } from '@/stores/preferences'
import { learn } from '@/text/sentences'

import Follow from './Follow.vue'

beforeEach(() => setActivePinia(createPinia()))
afterEach(() => {
  vi.restoreAllMocks()
  preferences.language = 'en'
})

const job = (more: Partial<JobView>) => ({ id: 'j', kind: 'verify', state: 'running', step: 1, steps: 2, progress: 0.5, ...more }) as JobView

test('what is remarked of a job is told in the language of the moment', () => {
  learn({ 'out of memory: it goes on {how}': '内存不足：继续{how}' })
  useJobs().add([job({ state: 'done', remarks: ['out of memory: it goes on slowly'] })])
  const told = () => mount(Follow, { props: { job: 'j', label: 'Verify' } }).findAll('.remark').map((one) => one.text())
  expect(told()).toEqual(['out of memory: it goes on slowly'])
  preferences.language = 'zh'
  expect(told()).toEqual(['内存不足：继续slowly'])
})

test('Cancel ends the job, and it is told that it was cancelled', async () => {
  const jobs = useJobs()
  jobs.add([job({})])
  const act = vi.spyOn(jobs, 'act').mockImplementation(async (id) => void jobs.known.set(id, job({ state: 'cancelled' })))
  const page = mount(Follow, { props: { job: 'j', label: 'Verify' } })
  await page.find('button[aria-label=Cancel]').trigger('click')
  expect(act.mock.calls).toEqual([['j', 'cancel']])
  expect(page.text()).toBe('Cancelled.')
})
