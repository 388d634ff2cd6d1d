import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import PromptBox from './PromptBox.vue'

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const chunk = (used: number) => ({ used, room: 75 })

test.each([
  [[[chunk(9)]], '9/75'],
  [[[chunk(75), chunk(9)]], '75/75 + 9/75'],
  [[[chunk(5)], [chunk(3)]], '5/75 AND 3/75'],
])('tokens are counted by chunk where there are several: %j', async (parts, text) => {
  vi.useFakeTimers()
  const data = { count: 9, room: 75, parts, warnings: [] }
  vi.spyOn(api, 'POST').mockResolvedValue({ data, response: new Response() } as never)
  const page = mount(PromptBox, { props: { modelValue: 'a fox', label: 'Prompt', profile: 'native', sources: { networks: [], words: [], wildcards: [] } } })
  await vi.advanceTimersByTimeAsync(400)
  expect(page.find('.count').text()).toBe(text)
})

test('a count that failed does not take away a newer one', async () => {
  vi.useFakeTimers()
  const asked: { give: (found: unknown) => void; fail: (why: Error) => void }[] = []
  vi.spyOn(api, 'POST').mockImplementation((() => new Promise((give, fail) => asked.push({ give, fail }))) as never)
  const page = mount(PromptBox, { props: { modelValue: 'a', label: 'Prompt', profile: 'native', sources: { networks: [], words: [], wildcards: [] } } })
  vi.advanceTimersByTime(400)
  await page.setProps({ modelValue: 'a fox' })
  vi.advanceTimersByTime(400)
  asked[1]!.give({ data: { count: 2, room: 75, parts: [[{ used: 2, room: 75 }]], warnings: [] }, response: new Response() })
  await flushPromises()
  expect(page.find('.count').text()).toBe('2/75')
  asked[0]!.fail(new Error('too late'))
  await flushPromises()
  expect(page.find('.count').text()).toBe('2/75')
})
