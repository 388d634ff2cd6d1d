import { mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'

import Grain from './Grain.vue'

afterEach(() => vi.useRealTimers())

test('noise moves while it is told to, and leaves nothing running', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  vi.stubGlobal('matchMedia', () => ({ matches: false }))
  const page = mount(Grain, { props: { moving: false } })
  expect(vi.getTimerCount()).toBe(0)
  await page.setProps({ moving: true })
  expect(vi.getTimerCount()).toBe(1)
  await page.setProps({ moving: false })
  expect(vi.getTimerCount()).toBe(0)
  await page.setProps({ moving: true })
  page.unmount()
  expect(vi.getTimerCount()).toBe(0)
  vi.unstubAllGlobals()
})
