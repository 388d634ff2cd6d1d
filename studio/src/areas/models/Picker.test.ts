import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import Picker from './Picker.vue'

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test('pictures to choose from are those of what was typed last', async () => {
  vi.useFakeTimers()
  const asked: ((names: string[]) => void)[] = []
  vi.spyOn(api, 'GET').mockImplementation((() =>
    new Promise((give) => asked.push((names) => give({ data: { pictures: names.map((name) => ({ id: name, name, prompt: '', thumb: `/${name}` })) }, response: new Response() })))) as never)
  const page = mount(Picker)
  await page.find('input').setValue('fox')
  vi.advanceTimersByTime(300)
  asked[1]!(['fox'])
  await flushPromises()
  asked[0]!(['newest', 'fox'])
  await flushPromises()
  expect(page.findAll('li')).toHaveLength(1)
})
