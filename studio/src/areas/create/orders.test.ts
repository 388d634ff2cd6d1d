import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import type { JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'
import { session } from '@/stores/who'

import { useDraft } from './draft'
import { useOrders } from './orders'

const job = (id: string, more: Partial<JobView> = {}) => ({ id, kind: 'picture', state: 'running', owner: 'ann', group: null, ...more }) as JobView
let acts: string[]

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  acts = []
  vi.spyOn(useJobs(), 'act').mockImplementation(async (id, action) => void acts.push(`${action} ${id}`))
})
afterEach(() => {
  session.value = null
  vi.restoreAllMocks()
})

test('keys end neither a training nor the picture of somebody else', () => {
  session.value = { name: 'ann', role: 'admin', accounts: true }
  useJobs().add([job('1', { kind: 'train' }), job('2', { owner: 'bob' })])
  const orders = useOrders()
  expect([orders.interrupt(), orders.skip(), acts]).toEqual([false, false, []])
  useJobs().add([job('3', { group: 'g' }), job('4', { group: 'g', state: 'queued' }), job('5')])
  expect([orders.interrupt(), acts]).toEqual([true, ['skip 3', 'cancel 4']])
  orders.chosen = '5'
  expect([orders.skip(), acts.slice(2)]).toEqual([true, ['skip 5']])
  expect(orders.pictures.map((one) => one.id)).toEqual(['5', '4', '3']) // what Create shows
})

test('a whole order is cancelled, and no other', async () => {
  const all = [job('1', { group: 'g' }), job('2', { group: 'g', state: 'queued' }), job('3', { group: 'h' }), job('4')]
  useJobs().add(all)
  await useOrders().cancel(all[1]!)
  expect(acts).toEqual(['cancel 1', 'cancel 2'])
})

async function settled(): Promise<void> {
  for (let i = 0; i < 6; i++) await nextTick()
}

test('it goes on for ever past the jobs of others, and stops where nothing comes of it', async () => {
  const jobs = useJobs()
  let made = 0
  const submit = vi.spyOn(useDraft(), 'submit').mockImplementation(async () => {
    const one = job(`m${++made}`)
    jobs.add([one])
    return [one]
  })
  jobs.add([job('theirs', { state: 'paused' })])
  const orders = useOrders()
  orders.forever = true
  await settled()
  expect(submit).toHaveBeenCalledTimes(1)
  jobs.known.set('m1', job('m1', { state: 'done' }))
  await settled()
  expect(submit).toHaveBeenCalledTimes(2)
  jobs.known.set('m2', job('m2', { state: 'failed' }))
  await settled()
  expect([submit.mock.calls.length, orders.forever]).toEqual([2, false])
  orders.forever = true // the person has mended what was wrong
  await settled()
  expect([submit.mock.calls.length, orders.forever]).toEqual([3, true])
})
