import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import { useGallery, type Card } from './gallery'
import Wall from './Wall.vue'

const numbered = (from: number, to: number) =>
  Array.from({ length: from - to + 1 }, (_, i) => ({ id: `p${from - i}`, number: from - i, prompt: '', thumb: '' }) as Card)

vi.mock('vue-router', () => ({ useRouter: () => ({}) }))
vi.mock('./pool', async (real) => ({ ...(await real<typeof import('./pool')>()), bring: () => new Promise(() => undefined) }))
beforeEach(() => {
  setActivePinia(createPinia())
  vi.stubGlobal('ResizeObserver', class {
    constructor(private tell: (all: object[]) => void) {}
    observe = () => this.tell([{ contentRect: { width: 1000 } }])
    disconnect = () => undefined
  })
})

test('new pictures do not move those that are looked at', async () => {
  const gallery = useGallery()
  gallery.look.size = 250
  gallery.pictures = numbered(400, 1)
  const wall = mount(Wall)
  await nextTick()
  wall.element.scrollTop = 1030
  gallery.pictures = [...numbered(408, 401), ...gallery.pictures]
  await nextTick()
  expect(wall.element.scrollTop).toBe(1530)
  wall.element.scrollTop = 0
  gallery.pictures = [...numbered(412, 409), ...gallery.pictures]
  await nextTick()
  expect(wall.element.scrollTop).toBe(0)
  wall.unmount()
})
