import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api, type JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import { useCatalogue } from './catalogue'

afterEach(() => vi.restoreAllMocks())

test('a model that a job made is known as soon as the job ends, whoever waited for it', async () => {
  setActivePinia(createPinia())
  let shelf = ['builtin']
  vi.spyOn(api, 'GET').mockImplementation(((path: string) =>
    Promise.resolve({ data: path === '/api/v1/models' ? { models: shelf.map((name) => ({ name })) } : { fields: [] }, response: new Response() })) as never)
  const catalogue = useCatalogue()
  const jobs = useJobs()
  const job = (kind: string, state: string) => jobs.known.set(kind, { id: kind, kind, state } as JobView)
  job('merge', 'running')
  await catalogue.load()
  for (const kind of ['merge', 'convert', 'prune', 'download', 'train']) {
    shelf = [...shelf, kind]
    job(kind, 'done')
    await vi.waitFor(() => expect(catalogue.models.map((card) => card.name)).toEqual(shelf))
  }
  const asked = vi.mocked(api.GET).mock.calls.length
  job('picture', 'done')
  await new Promise((go) => setTimeout(go))
  expect(api.GET).toHaveBeenCalledTimes(asked)
})

test('looking at the shelves again is seen wherever models are chosen', async () => {
  setActivePinia(createPinia())
  vi.spyOn(api, 'GET').mockResolvedValue({ data: { models: [{ name: 'new' }] }, response: new Response() } as never)
  const post = vi.spyOn(api, 'POST').mockResolvedValue({ data: {}, response: new Response() } as never)
  const catalogue = useCatalogue()
  await catalogue.refresh()
  expect(post).toHaveBeenCalledWith('/api/v1/models/refresh')
  expect(catalogue.models.map((card) => card.name)).toEqual(['new'])
})
