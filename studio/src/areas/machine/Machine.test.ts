import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import { api, type JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'
import { preferences } from '@/stores/preferences'

import Machine from './Machine.vue'

afterEach(() => {
  vi.restoreAllMocks()
  preferences.language = 'en'
})
const answered = (data: unknown) => Promise.resolve({ data, response: new Response() }) as never
const room = { total: 1, free: 1 }

test('what an examination found is told in the language of the moment, in both with both', async () => {
  setActivePinia(createPinia())
  vi.spyOn(api, 'GET').mockReturnValue(answered({ load: [], memory: room, disk: room, workers: [] }))
  vi.spyOn(api, 'POST').mockReturnValue(answered({ id: 'd', kind: 'doctor', state: 'done', step: 0, steps: 0 } as JobView))
  useJobs().results.set('d', [{ number: 0, data: { lines: ['PyTorch 2', '  SDXL: 9 minutes'], lines_zh: ['PyTorch 2', '  SDXL：9 分钟'] } }] as never)
  const page = mount(Machine)
  await flushPromises()
  await page.findAll('button').find((one) => one.text() === 'Examine')!.trigger('click')
  await flushPromises()
  const lines = () => page.findAll('.found p').map((one) => one.text())
  expect(lines()).toEqual(['PyTorch 2', 'SDXL: 9 minutes'])
  preferences.language = 'zh'
  await nextTick()
  expect(lines()).toEqual(['PyTorch 2', 'SDXL：9 分钟'])
  preferences.language = 'both'
  await nextTick()
  expect(lines()).toEqual(['PyTorch 2', expect.stringMatching(/SDXL: 9 minutes\s+SDXL：9 分钟/)])
  page.unmount()
})
