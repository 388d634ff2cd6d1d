import { mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import PromptBox from './PromptBox.vue'

afterEach(() => vi.useRealTimers())

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
