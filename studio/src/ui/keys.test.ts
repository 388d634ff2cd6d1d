import { enableAutoUnmount, mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'
import { defineComponent, h } from 'vue'

import { pageKeys } from './keys'

enableAutoUnmount(afterEach)
afterEach(() => document.body.replaceChildren())

function area() {
  const deeds = { go: vi.fn(), next: vi.fn(() => true), stop: vi.fn(() => true) }
  const page = mount(defineComponent({ setup: () => (pageKeys(deeds), () => h('input')) }), { attachTo: document.body })
  const press = (key: string, more: KeyboardEventInit = {}, on: EventTarget = page.element) => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })
    on.dispatchEvent(event)
    return event.defaultPrevented
  }
  return { deeds, page, press, count: () => [deeds.go, deeds.next, deeds.stop].map((one) => one.mock.calls.length) }
}

test('keys begin, go on and end, while the area is there', () => {
  const { page, press, count } = area()
  expect([press('Enter'), press('Enter', { ctrlKey: true }), press('Enter', { metaKey: true }), press('Enter', { altKey: true }), press('Escape')]).toEqual([false, true, true, true, true])
  expect(count()).toEqual([2, 1, 1])
  page.unmount()
  press('Escape', {}, window)
  expect(count()).toEqual([2, 1, 1])
})

test('an input method keeps its Escape', () => {
  const { press, count } = area()
  expect(press('Escape', { isComposing: true })).toBe(false)
  expect(count()).toEqual([0, 0, 0])
})

test.each(['menu', 'dialog'])('keys of an open %s are not the page’s, nor is the one that closes it', (role) => {
  const { press, count } = area()
  const over = document.createElement('div')
  over.setAttribute('role', role)
  document.body.append(over)
  press('Escape')
  press('Enter', { ctrlKey: true }, over)
  over.addEventListener('keydown', () => over.remove())
  press('Escape', {}, over)
  expect(count()).toEqual([0, 0, 0])
  press('Escape')
  expect(count()).toEqual([0, 0, 1])
})
