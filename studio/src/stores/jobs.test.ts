import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import type { JobEvent } from '@/api/events'

import { useJobs } from './jobs'

type Answer = (state: string, status?: number) => void
let answers: Answer[]
let happen: (event: Partial<JobEvent>) => void

vi.mock('@/api/events', () => ({ follow: ({ event }: { event: typeof happen }) => ((happen = event), () => undefined) }))

beforeEach(() => {
  setActivePinia(createPinia())
  answers = []
  const held = (path: string) => {
    if (path.endsWith('/results')) return Promise.resolve({ data: [], response: new Response() })
    return new Promise((give) =>
      answers.push((state, status = 200) => give({ data: { id: 'a', state, steps: 4, step: 0 }, error: {}, response: new Response(null, { status }) })),
    )
  }
  for (const method of ['GET', 'POST', 'DELETE'] as const) vi.spyOn(api, method).mockImplementation(held as never)
})
afterEach(() => vi.restoreAllMocks())

const settled = () => new Promise((go) => setTimeout(go))

async function answer(i: number, state: string, status?: number): Promise<void> {
  answers[i]!(state, status)
  await settled()
}

function opened() {
  const jobs = useJobs()
  jobs.open()
  happen({ kind: 'queued', job: 'a' })
  return jobs
}

test('an older answer does not undo what a newer one told', async () => {
  const jobs = opened()
  happen({ kind: 'done', job: 'a' })
  await answer(1, 'done')
  await answer(0, 'queued')
  expect(jobs.known.get('a')?.state).toBe('done')
})

test('a step is newer than what was asked before it, and nothing after the end', async () => {
  const jobs = opened()
  await answer(0, 'queued')
  happen({ kind: 'started', job: 'a' })
  happen({ kind: 'step', job: 'a', step: 2, steps: 4 })
  await answer(1, 'queued')
  expect(jobs.known.get('a')).toMatchObject({ state: 'running', step: 2 })
  happen({ kind: 'done', job: 'a' })
  await answer(2, 'done')
  happen({ kind: 'step', job: 'a', step: 3, steps: 4 }) // told once more
  expect(jobs.known.get('a')?.state).toBe('done')
})

test('a job that is forgotten does not come back with an older answer', async () => {
  const jobs = opened()
  await answer(0, 'done')
  happen({ kind: 'kept', job: 'a' })
  const removed = jobs.remove('a')
  answers[2]!('done')
  await removed
  await answer(1, 'done')
  expect(jobs.known.has('a')).toBe(false)
})

test('a job is kept where the server does not answer, and goes where it is no more', async () => {
  const jobs = opened()
  await answer(0, 'queued')
  happen({ kind: 'started', job: 'a' })
  await answer(1, '', 503)
  expect(jobs.known.has('a')).toBe(true)
  happen({ kind: 'started', job: 'a' })
  await answer(2, '', 404)
  expect(jobs.known.has('a')).toBe(false)
})

test('a job that another tab has removed is gone, without a complaint', async () => {
  const jobs = opened()
  await answer(0, 'done')
  const removed = jobs.remove('a')
  await answer(1, '', 404)
  await removed
  expect(jobs.known.has('a')).toBe(false)
})

test('what is paused is known however much was made since, and what ended meanwhile as ended', async () => {
  vi.restoreAllMocks()
  const job = (n: number, state: string) => ({ id: `j${String(n).padStart(4, '0')}`, kind: 'picture', state, steps: 4, step: 0 })
  const all = [...Array.from({ length: 150 }, (_, i) => job(499 - i, 'done')), ...Array.from({ length: 250 }, (_, i) => job(349 - i, 'queued')), job(7, 'paused'), job(6, 'done')]
  type Query = { before?: string; state?: string[]; limit: number }
  vi.spyOn(api, 'GET').mockImplementation(((path: string, { params }: { params: { query: Query; path: { job: string } } }) => {
    const give = (data: unknown) => Promise.resolve({ data, response: new Response() })
    if (path.endsWith('/results')) return give([])
    if (path.endsWith('/{job}')) return give(all.find((one) => one.id === params.path.job))
    const { before = 'z', state, limit } = params.query
    const found = all.filter((one) => one.id < before && (!state || state.includes(one.state)))
    return give({ jobs: found.slice(0, limit), before: found.length > limit ? found[limit - 1]!.id : null })
  }) as never)
  const jobs = useJobs()
  jobs.known.set('j0006', job(6, 'paused') as never) // it went on where no event was heard
  await jobs.load()
  expect([jobs.known.get('j0007')?.state, jobs.known.get('j0006')?.state]).toEqual(['paused', 'done'])
})
