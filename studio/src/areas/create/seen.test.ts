import { shallowMount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import { useCatalogue } from '@/recipe/catalogue'

import Create from './Create.vue'

vi.mock('vue-router', () => ({ useRoute: () => ({ query: {}, path: '/create' }), useRouter: () => ({}) }))
vi.mock('@/prompt/sources', () => ({ useSources: () => ({ networks: [], words: [], wildcards: [] }) }))
afterEach(() => vi.unstubAllGlobals())

test('the keyboard goes through the page as it is seen, on a phone as on a wide screen', async () => {
  setActivePinia(createPinia())
  vi.spyOn(useCatalogue(), 'load').mockResolvedValue()
  const screen = Object.assign(new EventTarget(), { matches: true })
  vi.stubGlobal('matchMedia', () => screen)
  const page = shallowMount(Create)
  const order = () => [...page.element.children].map((one) => one.tagName.toLowerCase()).filter((name) => name === 'form' || name.startsWith('made'))
  expect(order()).toEqual(['made-stub', 'form'])
  screen.matches = false
  screen.dispatchEvent(new Event('change')) // it is turned
  await nextTick()
  expect(order()).toEqual(['form', 'made-stub'])
  page.unmount()
})
