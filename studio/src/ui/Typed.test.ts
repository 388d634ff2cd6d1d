import { mount } from '@vue/test-utils'
import { expect, test } from 'vitest'
import { defineComponent, h, nextTick, reactive } from 'vue'

import NumberField from './NumberField.vue'
import Typed from './Typed.vue'

/** What somebody types, before the field is left. */
function type(field: HTMLInputElement, text: string): Promise<void> {
  field.value = text
  field.dispatchEvent(new Event('input'))
  return nextTick()
}

for (const long of [false, true]) {
  test(`what is typed stays while the page changes, and is told when it is left (long: ${long})`, async () => {
    const told: string[] = []
    const state = reactive({ value: 'a fox', label: 'caption' })
    const page = mount(defineComponent(() => () => h(Typed, { value: state.value, long, 'aria-label': state.label, onTyped: (text: string) => (told.push(text), (state.value = text)) })))
    const field = page.element as HTMLInputElement
    await type(field, 'a fox in the snow')
    state.label = '描述'
    await nextTick()
    expect(field.getAttribute('aria-label')).toBe('描述')
    expect(field.value).toBe('a fox in the snow')
    state.value = 'another answer of the server'
    await nextTick()
    expect(field.value).toBe('a fox in the snow')
    field.dispatchEvent(new Event('change'))
    await nextTick()
    expect(told).toEqual(['a fox in the snow'])
    expect(field.value).toBe('a fox in the snow')
    state.value = 'changed elsewhere'
    await nextTick()
    expect(field.value).toBe('changed elsewhere')
  })
}

test('what is not taken is shown as it was', async () => {
  const page = mount(Typed, { props: { value: 'kept' } })
  const field = page.element as HTMLInputElement
  await type(field, 'refused')
  field.dispatchEvent(new Event('change'))
  await nextTick()
  await nextTick()
  expect(field.value).toBe('kept')
})

test('a number that is emptied stays empty until the field is left', async () => {
  const page = mount(NumberField, { props: { modelValue: 20, label: 'Steps', min: 1, max: 150 } })
  const field = page.find('input[type=number]').element as HTMLInputElement
  await type(field, '2')
  await type(field, '')
  await page.setProps({ label: '步数' })
  expect(field.value).toBe('')
  await type(field, '400')
  field.dispatchEvent(new Event('change'))
  await nextTick()
  expect(page.emitted('update:modelValue')).toEqual([[150]])
})
