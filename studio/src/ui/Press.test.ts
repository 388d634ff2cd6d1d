import { mount } from '@vue/test-utils'
import { expect, test, vi } from 'vitest'

import Press from './Press.vue'

test('while it is busy it is not pressed again, and keeps the keyboard’s place', async () => {
  const go = vi.fn()
  const page = mount(Press, { props: { label: 'Go' }, attrs: { onClick: go }, attachTo: document.body })
  const button = page.find('button')
  button.element.focus()
  await button.trigger('click')
  await page.setProps({ busy: true })
  await button.trigger('click')
  expect([go.mock.calls.length, document.activeElement === button.element, button.attributes('aria-disabled')]).toEqual([1, true, 'true'])
  await page.setProps({ busy: false })
  await button.trigger('click')
  expect([go.mock.calls.length, button.attributes('aria-disabled')]).toEqual([2, undefined])
  page.unmount()
})
