import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { expect, test } from 'vitest'

import type { JobView } from '@/api/client'

import Row from './Row.vue'

test('an examination of the machine is called that, and what was remarked of it is told', () => {
  setActivePinia(createPinia())
  const job = { id: 'a', kind: 'doctor', state: 'done', body: {}, owner: 'local', step: 0, steps: 0, remarks: ['it went slowly'] } as unknown as JobView
  const row = mount(Row, { props: { job } })
  expect(row.text()).toContain('Examination of the machine')
  expect(row.find('.remark').text()).toBe('it went slowly')
})

test('a pointer that the browser takes away is no drop', async () => {
  setActivePinia(createPinia())
  const job = { id: 'a', kind: 'picture', state: 'queued', body: { prompt: 'a fox' }, owner: 'local', step: 0, steps: 0 } as unknown as JobView
  const row = mount(Row, { props: { job } })
  await row.find('.grip').trigger('pointercancel')
  expect([row.emitted('drop'), row.emitted('cancel')]).toEqual([undefined, [[]]])
})
