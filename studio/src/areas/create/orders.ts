// What was asked for and is steered from here: one's own pictures, whatever else the server does, and on every page.
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'

import type { JobView } from '@/api/client'
import { FINISHED, useJobs } from '@/stores/jobs'
import { isOwn } from '@/stores/who'
import { complain } from '@/ui/notes'

import { useDraft } from './draft'

export const useOrders = defineStore('orders', () => {
  const store = useDraft()
  const jobs = useJobs()
  const pictures = computed(() => jobs.newestFirst.filter((job) => job.kind === 'picture' && isOwn(job))) // that were asked for, the newest first
  const chosen = ref<string | null>(null) // the job that is looked at
  const sending = ref(false)
  const problem = ref<unknown>(null)
  const forever = ref(false) // again and again, until it is pressed once more
  const last = shallowRef<readonly string[]>([]) // the jobs of the newest order

  /** Ask for what the draft stands for. What goes wrong is in `problem`. */
  async function generate(): Promise<void> {
    if (sending.value) return
    sending.value = true
    problem.value = null
    try {
      last.value = (await store.submit()).map((job) => job.id)
      chosen.value = last.value[0] ?? null
    } catch (error) {
      problem.value = error
      forever.value = false
    } finally {
      sending.value = false
    }
  }

  // the next order follows when all of the one before has come to an end, unless nothing came of it
  const over = computed(() => {
    const states = last.value.map((id) => jobs.known.get(id)?.state ?? 'cancelled')
    if (!states.every((state) => FINISHED.includes(state))) return null
    return states.length && !states.includes('done') ? 'in vain' : 'well'
  })
  watch(forever, (on) => on && over.value && (last.value = [])) // what failed before it was pressed does not count
  watch([forever, sending, over], ([on, busy, how]) => {
    if (!on || busy || !how) return
    if (how === 'in vain') forever.value = false
    else void generate()
  })

  /** One's own picture that is drawn now, before all the one that is looked at. */
  function running(): JobView | undefined {
    const own = pictures.value.filter((job) => job.state === 'running').reverse()
    return own.find((job) => job.id === chosen.value) ?? own[0]
  }

  /** What waits of a job's order, and itself. */
  const together = (job: JobView) => jobs.waiting.filter((one) => one.id === job.id || (job.group && one.group === job.group))

  /** Go on with the next picture. Whether there was one to finish. */
  function skip(): boolean {
    const job = running()
    if (job) jobs.act(job.id, 'skip').catch(complain)
    return job !== undefined
  }

  /** Finish with what is there, and draw no more of that order. Whether there was something to end. */
  function interrupt(): boolean {
    const job = running()
    const any = job !== undefined || forever.value
    forever.value = false
    if (job) Promise.all(together(job).map((one) => jobs.act(one.id, one.state === 'running' ? 'skip' : 'cancel'))).catch(complain)
    return any
  }

  /** Nothing of a job's order is wanted any more. Throws a Problem. */
  async function cancel(job: JobView): Promise<void> {
    await Promise.all(together(job).map((one) => jobs.act(one.id, 'cancel')))
  }

  return { pictures, chosen, sending, problem, forever, generate, skip, interrupt, together, cancel }
})
