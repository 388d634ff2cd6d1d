// The line as the server will take it, and whether it is held.
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

import { api, call, type JobView } from '@/api/client'
import { newest } from '@/api/newest'
import { FINISHED, useJobs } from '@/stores/jobs'

const MOST = 200 // jobs that the server lists at once

export const useQueue = defineStore('queue', () => {
  const jobs = useJobs()
  const order = shallowRef<readonly string[]>([]) // ids of what waits, the first first
  const unseen = ref(0) // how many wait behind them
  const wait = ref<number | null>(null) // seconds until the last of them begins
  const held = ref(false)
  const isAdmin = ref(false)

  const running = computed(() => jobs.waiting.filter((job) => job.state === 'running'))
  const waiting = computed(() => order.value.map((id) => jobs.known.get(id)).filter((job): job is JobView => job?.state === 'queued'))
  const paused = computed(() => jobs.waiting.filter((job) => job.state === 'paused'))
  const ended = computed(() => jobs.newestFirst.filter((job) => FINISHED.includes(job.state)).slice(0, 40))

  /** Ask for the order again. Throws a Problem. */
  const load = newest(
    () => Promise.all([call(api.GET('/api/v1/line', { params: { query: { limit: MOST } } })), call(api.GET('/api/v1/about'))]),
    ([line, about]) => {
      jobs.add(line)
      order.value = line.map((job) => job.id)
      unseen.value = line.length < MOST ? 0 : Math.max(0, (about.counts.queued ?? 0) - line.length)
      held.value = about.held
      isAdmin.value = about.role === 'admin'
      void loadWait(order.value.at(-1) ?? null)
    },
  )

  /** How long it takes until the last of the line begins. */
  const loadWait = newest(
    async (last: string | null) =>
      last === null
        ? null
        : call(api.GET('/api/v1/jobs/{job}/place', { params: { path: { job: last } } })).then(
            (place) => place.wait,
            () => null, // it has begun meanwhile
          ),
    (found) => (wait.value = found),
  )

  /** Put a job before another of the line; at its end where there is none. Throws a Problem. */
  async function move(job: string, before: string | null): Promise<void> {
    await call(api.PUT('/api/v1/jobs/{job}/place', { params: { path: { job } }, body: { before } }))
    await load()
  }

  async function hold(wanted: boolean): Promise<void> {
    await call(api.PUT('/api/v1/queue', { body: { held: wanted } }))
    await load()
  }

  /** Cancel all that waits; how many that were. */
  async function clear(): Promise<number> {
    const gone = await call(api.DELETE('/api/v1/line'))
    for (const job of gone) jobs.known.set(job.id, job)
    await load()
    return gone.length
  }

  return { running, waiting, paused, ended, unseen, wait, held, isAdmin, order, load, move, hold, clear }
})
