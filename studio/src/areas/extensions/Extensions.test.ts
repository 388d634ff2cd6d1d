import { mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import Extensions from './Extensions.vue'

afterEach(() => vi.useRealTimers())

test('an answer that comes after the page was left asks for no other', async () => {
  vi.useFakeTimers()
  let answer: (given: unknown) => void = () => undefined
  const get = vi.spyOn(api, 'GET').mockImplementation((() => new Promise((go) => (answer = go))) as never)
  const page = mount(Extensions)
  page.unmount()
  answer({ data: { panels: [], faults: [] }, response: new Response() })
  await vi.advanceTimersByTimeAsync(10_000)
  expect(get).toHaveBeenCalledTimes(1)
})
