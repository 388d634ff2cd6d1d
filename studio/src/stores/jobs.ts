// The jobs that the server keeps, and what happens to them. Nothing here is lost on reload: the server has it all.
import { defineStore } from 'pinia'
import { computed, reactive, ref } from 'vue'

import { api, asProblem, call, type JobView, ordered, type ResultView, type Schemas } from '@/api/client'
import { follow, type JobEvent } from '@/api/events'

export type Action = 'cancel' | 'skip' | 'pause' | 'resume' | 'retry'
const MOST = 100 // of the newest jobs are known
export const RECENT = 60 // jobs whose pictures are at hand
export const FINISHED: readonly string[] = ['done', 'failed', 'cancelled']

export const useJobs = defineStore('jobs', () => {
  const known = reactive(new Map<string, JobView>())
  const results = reactive(new Map<string, ResultView[]>())
  const previews = reactive(new Map<string, string>()) // URL of the newest, by job
  const linked = ref(true) // whether the server is there
  const loaded = ref(false)
  let stop: (() => void) | undefined
  let asked = 0 // calls and steps, in their order
  const told = new Map<string, number>() // the newest of them that told of a job

  const newestFirst = computed(() => [...known.values()].sort((a, b) => (a.id < b.id ? 1 : -1)))
  const waiting = computed(() => newestFirst.value.filter((job) => !FINISHED.includes(job.state)).reverse())

  /** Load the newest jobs and follow what happens from now on; does nothing where that goes on already. */
  function open(): void {
    const again = () => void load().catch(() => undefined) // whether it is down, or wants to know who this is, the call has told
    stop ??= follow({
      event: happened,
      link: (there) => {
        again()
        linked.value = there
      },
      look: () => (!loaded.value || waiting.value.length) && again(),
    })
  }

  function close(): void {
    stop?.()
    stop = undefined
  }

  /** Take what a call told of a job, unless something newer has told of it: answers overtake each other. */
  function take(job: JobView, own: number): void {
    if (own < (told.get(job.id) ?? 0)) return
    told.set(job.id, own)
    known.set(job.id, job)
    if (FINISHED.includes(job.state)) previews.delete(job.id)
  }

  async function load(): Promise<void> {
    const own = ++asked
    const page = await call(api.GET('/api/v1/jobs', { params: { query: { limit: MOST } } }))
    for (const job of page.jobs) take(job, own)
    loaded.value = true
    const missing = page.jobs.filter((job) => job.state === 'done' && !results.has(job.id))
    await Promise.all([...missing.slice(0, RECENT).map((job) => loadResults(job.id)), ...(page.before ? [loadUnfinished(page.before)] : [])])
  }

  /** Jobs of before that one that have not come to an end: a training that was paused a thousand pictures ago. */
  async function loadUnfinished(before: string, state: JobView['state'][] = ['queued', 'running', 'paused']): Promise<void> {
    const own = ++asked
    const page = await call(api.GET('/api/v1/jobs', { params: { query: { before, state, limit: 2 * MOST } } }))
    for (const job of page.jobs) take(job, own)
    if (page.before) return state.includes('queued') ? loadUnfinished(before, ['running', 'paused']) : undefined // the line is long: what is not in it
    const there = new Set(page.jobs.map((job) => job.id))
    const ended = waiting.value.filter((job) => job.id < before && state.includes(job.state) && !there.has(job.id)) // events were not followed
    await Promise.all(ended.slice(0, RECENT).map((job) => refreshed(job.id)))
  }

  async function loadResults(job: string): Promise<void> {
    results.set(job, await call(api.GET('/api/v1/jobs/{job}/results', { params: { path: { job } } })))
  }

  async function refresh(id: string): Promise<void> {
    const own = ++asked
    const job = await call(api.GET('/api/v1/jobs/{job}', { params: { path: { job: id } } }))
    if (job.state === 'done') await loadResults(id)
    take(job, own)
  }

  /** As it is now, if the server tells; where it was removed meanwhile it goes. */
  const refreshed = (id: string) => refresh(id).catch((error: unknown) => void (asProblem(error).status === 404 && known.delete(id)))

  function happened(event: JobEvent): void {
    const job = known.get(event.job)
    if (event.kind !== 'step' || !job) {
      void refreshed(event.job)
      return
    }
    if (FINISHED.includes(job.state)) return // it is told of once more, after the link was lost
    told.set(job.id, ++asked)
    const step = Number(event.step)
    const steps = Number(event.steps) || job.steps
    known.set(job.id, { ...job, state: 'running', step, steps, progress: steps ? Math.min(1, step / steps) : 0 })
    if (event.preview === true) previews.set(job.id, `/api/v1/jobs/${job.id}/preview?step=${step}`)
  }

  function add(jobs: readonly JobView[]): void {
    for (const job of jobs) if (!known.has(job.id)) take(job, 0)
  }

  /** Ask for work other than pictures. Throws a Problem. */
  async function errand(work: Schemas['ErrandOrder']['work']): Promise<JobView> {
    const made = await ordered(work, (key) => call(api.POST('/api/v1/errands', { body: { work, key, priority: 0, folder: '' } })))
    add([made])
    return made
  }

  /** Cancel, skip, pause, resume or retry. Throws a Problem. */
  async function act(id: string, action: Action): Promise<void> {
    const own = ++asked
    take(await call(api.POST('/api/v1/jobs/{job}/{action}', { params: { path: { job: id, action } } })), own)
  }

  /** Forget a finished job; its pictures stay. Throws a Problem. */
  async function remove(id: string): Promise<void> {
    await call(api.DELETE('/api/v1/jobs/{job}', { params: { path: { job: id } } })).catch((error: unknown) => {
      if (asProblem(error).status !== 404) throw error // else another tab has removed it
    })
    told.set(id, Infinity)
    known.delete(id)
    results.delete(id)
  }

  return { known, results, previews, linked, loaded, newestFirst, waiting, open, close, load, loadResults, refresh, add, errand, act, remove }
})
