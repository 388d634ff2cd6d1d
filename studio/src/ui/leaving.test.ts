import { mount } from '@vue/test-utils'
import { expect, test } from 'vitest'
import { defineComponent, h, ref } from 'vue'

import Leaving from '@/Leaving.vue'

import { answer, asking, keepFromLeaving, mayLeave } from './leaving'

function form() {
  const unsaved = ref(false)
  const page = mount(defineComponent({ setup: () => (keepFromLeaving(() => unsaved.value), () => h('form')) }))
  return { unsaved, page }
}
const unload = () => {
  const event = new Event('beforeunload', { cancelable: true })
  dispatchEvent(event)
  return event.defaultPrevented
}

test('only what would be lost keeps one from leaving', async () => {
  const { unsaved, page } = form()
  expect([mayLeave(), unload()]).toEqual([true, false])
  unsaved.value = true
  expect(unload()).toBe(true)
  const asked = mayLeave()
  expect(asking.value).not.toBeNull()
  answer(false)
  expect(await asked).toBe(false)
  const again = mayLeave()
  answer(true)
  expect(await again).toBe(true)
  page.unmount()
  expect([mayLeave(), unload()]).toEqual([true, false])
})

test('who goes elsewhere while they are asked is asked anew', async () => {
  const { unsaved, page } = form()
  unsaved.value = true
  const first = mayLeave()
  const second = mayLeave()
  expect(await first).toBe(false)
  answer(true)
  expect(await second).toBe(true)
  page.unmount()
})

test('the question is a dialog, which Escape answers with staying', async () => {
  const { unsaved, page } = form()
  const dialog = mount(Leaving, { attachTo: document.body })
  const settled = () => new Promise((go) => setTimeout(go, 20))
  unsaved.value = true
  let asked = mayLeave()
  await settled()
  document.querySelector('[role=dialog]')!.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))
  expect(await asked).toBe(false)
  await settled()
  expect(document.querySelector('[role=dialog]')).toBeNull()
  asked = mayLeave()
  await settled()
  document.querySelector<HTMLButtonElement>('[role=dialog] footer button')!.click()
  expect(await asked).toBe(true)
  dialog.unmount()
  page.unmount()
})
