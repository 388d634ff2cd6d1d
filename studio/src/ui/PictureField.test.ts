import { mount } from '@vue/test-utils'
import { afterEach, expect, test, vi } from 'vitest'
import { defineComponent, h, nextTick, ref } from 'vue'

import { notes } from './notes'
import Sheet from './Sheet.vue'
import PictureField from './PictureField.vue'

let painted: Blob | null
vi.mock('./paint/Painter.vue', () => ({
  __esModule: true,
  default: defineComponent({ setup: (_, { expose }) => (expose({ result: () => Promise.resolve(painted), changed: ref(true) }), () => h('div')) }),
}))
const settled = () => new Promise((go) => setTimeout(go, 20))
const drawn = () => [...document.querySelectorAll('[role=dialog] footer button')].at(-1) as HTMLButtonElement
afterEach(() => {
  vi.unstubAllGlobals()
  document.body.replaceChildren()
})

async function opened(mask: boolean) {
  const page = mount(PictureField, { props: { modelValue: null, label: 'Mask', mask }, attachTo: document.body })
  await page.findAll('button')[0]!.trigger('click')
  await settled()
  return page
}

test('what was painted stays open until the server has it', async () => {
  painted = new Blob(['x'])
  let status = 503
  vi.stubGlobal('fetch', () => Promise.resolve(new Response('{"sha256":"a","width":8,"height":8,"message":"full"}', { status })))
  vi.stubGlobal('Request', class {})
  const page = await opened(false)
  drawn().click()
  await settled()
  expect(notes.map((one) => one.text)).toEqual(['full'])
  expect(document.querySelector('[role=dialog]')).not.toBeNull()
  status = 201
  drawn().click()
  await settled()
  expect(page.emitted('update:modelValue')).toEqual([[{ path: '', sha256: 'a' }]])
  expect(document.querySelector('[role=dialog]')).toBeNull()
  page.unmount()
})

test('a mask that was wiped is none', async () => {
  painted = null
  const page = await opened(true)
  drawn().click()
  await settled()
  expect(page.emitted('update:modelValue')).toEqual([[undefined]])
  page.unmount()
})

test('a sheet with something new in it asks before it goes', async () => {
  const page = mount(Sheet, { props: { open: true, title: 'Paint', guard: true, 'onUpdate:open': (open: boolean) => page.setProps({ open }) }, attachTo: document.body })
  await settled()
  const close = () => document.querySelector<HTMLButtonElement>('[role=dialog] header button')!.click()
  close()
  await settled() // Vue passes over clicks in the millisecond in which their listener came
  expect(page.emitted('update:open')).toBeUndefined()
  document.querySelectorAll<HTMLButtonElement>('.sheet-box .asks button')[1]!.click() // stay
  await nextTick()
  expect(document.querySelector('.sheet-box .asks')).toBeNull()
  close()
  await settled() // Vue passes over clicks in the millisecond in which their listener came
  document.querySelector<HTMLButtonElement>('.sheet-box .asks button')!.click()
  await nextTick()
  expect(page.emitted('update:open')).toEqual([[false]])
  page.unmount()
})
