import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { answer, asking, mayLeave } from '@/ui/leaving'

import Settings from './Settings.vue'

afterEach(() => vi.restoreAllMocks())

const setting = (value: string) => ({
  settings: [{ name: 'terms', title: 'Terms', title_zh: '条款', explanation: 'What holds.', explanation_zh: '规则。', kind: 'text', value, default: '', longest: 100 }],
})
const answered = (data: unknown) => Promise.resolve({ data, response: new Response() }) as never

test('one who leaves with settings that were not saved is asked, and not once they are', async () => {
  vi.spyOn(api, 'GET').mockReturnValue(answered(setting('be kind')))
  vi.spyOn(api, 'PUT').mockReturnValue(answered(setting('be kinder')))
  const page = mount(Settings)
  await flushPromises()
  expect(mayLeave()).toBe(true)
  await page.find('input.control:not([type=search])').setValue('be kinder')
  const asked = mayLeave()
  expect(asking.value).not.toBeNull()
  answer(false)
  expect(await asked).toBe(false)
  await page.find('form').trigger('submit')
  await flushPromises()
  expect(api.PUT).toHaveBeenCalledOnce()
  expect(mayLeave()).toBe(true)
  await page.find('input.control:not([type=search])').setValue('be kindest')
  page.unmount()
  expect(mayLeave()).toBe(true)
})
