import { flushPromises, mount } from '@vue/test-utils'
import { expect, test, vi } from 'vitest'

import { notes } from '@/ui/notes'

import KeepAs from './KeepAs.vue'

test('a name that could not be kept stays to be tried again', async () => {
  const keep = vi.fn<(name: string) => Promise<void>>().mockRejectedValueOnce(new Error('full')).mockResolvedValue()
  const page = mount(KeepAs, { props: { label: 'Keep', keep } })
  await page.find('form').trigger('submit')
  expect(keep).not.toHaveBeenCalled() // it has no name
  await page.find('input').setValue(' mine ')
  await page.find('form').trigger('submit')
  await flushPromises()
  expect([page.find('input').element.value, notes.length]).toEqual([' mine ', 1])
  await page.find('button').trigger('click')
  await flushPromises()
  expect([page.find('input').element.value, keep.mock.calls]).toEqual(['', [['mine'], ['mine']]])
})
