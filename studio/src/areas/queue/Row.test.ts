import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { expect, test } from 'vitest'

import type { JobView } from '@/api/client'

import Row from './Row.vue'

test('an examination of the machine is called that', () => {
  setActivePinia(createPinia())
  const job = { id: 'a', kind: 'doctor', state: 'done', body: { language: 'en' }, owner: 'local', step: 0, steps: 0 } as unknown as JobView
  expect(mount(Row, { props: { job } }).text()).toContain('Examination of the machine')
})
