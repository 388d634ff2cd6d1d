import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api, type JobView } from '@/api/client'

import Row from './Row.vue'

afterEach(() => vi.restoreAllMocks())

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

test.each([
  ['train', 300, 'running', true],
  ['train', 300, 'paused', true],
  ['train', 0, 'running', false],
  ['picture', 3, 'running', false],
])('what a %s has learnt in %i steps, %s, is not thrown away by one press: %s', async (kind, step, state, asks) => {
  setActivePinia(createPinia())
  const post = vi.spyOn(api, 'POST').mockResolvedValue({ data: {}, response: new Response() } as never)
  vi.spyOn(api, 'GET').mockResolvedValue({ data: [], response: new Response() } as never)
  const job = { id: 'a', kind, state, body: { name: 'dots' }, owner: 'local', step, steps: 600, progress: step / 600 } as unknown as JobView
  const row = mount(Row, { props: { job }, attachTo: document.body })
  await row.find('button[aria-label=Cancel]').trigger('click')
  await flushPromises()
  expect(post.mock.calls).toHaveLength(asks ? 0 : 1)
  if (asks) {
    expect(document.body.textContent).toContain('Nothing is kept of the 300 steps')
    const press = [...document.querySelectorAll<HTMLButtonElement>('[role=dialog] button')]
    expect(press.some((one) => one.textContent?.includes('Stop and save'))).toBe(state === 'running')
    press.find((one) => one.textContent?.includes('Throw it away'))!.click()
    await flushPromises()
  }
  expect(post).toHaveBeenCalledWith('/api/v1/jobs/{job}/{action}', { params: { path: { job: 'a', action: 'cancel' } } })
  row.unmount()
})
