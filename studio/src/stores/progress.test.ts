import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, nextTick } from 'vue'

import type { JobView } from '@/api/client'

import { useJobs } from './jobs'
import { preferences } from './preferences'
import { useProgress } from './progress'
import { session } from './who'

let told: [string, string][]
const scope = effectScope()
beforeEach(() => {
  setActivePinia(createPinia())
  told = []
  preferences.language = 'en'
  preferences.notify = true
  session.value = { name: 'ann', accounts: true, role: 'admin' } as never
  vi.spyOn(document, 'hasFocus').mockReturnValue(false)
  vi.stubGlobal('Notification', class {
    constructor(title: string, { body }: { body: string }) {
      told.push([title, body])
    }
  })
})
afterEach(() => {
  session.value = null
  preferences.notify = false
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

function put(id: string, more: Partial<JobView>): Promise<void> {
  const job = { id, kind: 'picture', owner: 'ann', state: 'queued', group: null, step: 0, steps: 4, progress: 0, body: { prompt: 'a fox' }, ...more } as JobView
  useJobs().known.set(id, job)
  return nextTick()
}

test('the share is that of the whole order, and of nobody else', async () => {
  const { share } = scope.run(useProgress)!
  await put('x', { owner: 'bob', state: 'running', progress: 0.9 })
  expect(share.value).toBeNull()
  await put('a', { group: 'g', state: 'done' })
  await put('b', { group: 'g', state: 'running', progress: 0.5 })
  await put('c', { group: 'g' })
  expect(share.value).toBe(0.5)
})

test('the end of an order is told once, by what came of it; a pause, a cancel and a page that is looked at tell nothing', async () => {
  scope.run(useProgress)
  for (const id of ['a', 'b']) await put(id, { group: 'g', state: 'running' })
  await put('a', { group: 'g', state: 'done' })
  expect(told).toEqual([])
  await put('b', { group: 'g', state: 'done' })
  expect(told).toEqual([['2 jobs are done', 'a fox']])
  for (const end of ['paused', 'cancelled'] as const) {
    await put(end, { state: 'running' })
    await put(end, { state: end })
  }
  await put('of-bob', { owner: 'bob', state: 'running' })
  await put('of-bob', { owner: 'bob', state: 'done' })
  expect(told).toHaveLength(1)
  await put('c', { state: 'running' })
  await put('c', { state: 'failed' })
  expect(told[1]).toEqual(['1 job has failed', 'a fox'])
  vi.mocked(document.hasFocus).mockReturnValue(true)
  await put('d', { state: 'running' })
  await put('d', { state: 'done' })
  expect(told).toHaveLength(2)
})
