// How far one's own jobs are, for the page's title; and when an order has ended the browser tells, where that is wanted.
import { computed, watch } from 'vue'

import type { JobView } from '@/api/client'
import { t } from '@/text/shell'
import { BETWEEN } from '@/text/words'

import { FINISHED, useJobs } from './jobs'
import { preferences } from './preferences'
import { isOwn } from './who'

/** Jobs that were asked for together have the same. */
const orderOf = (job: JobView) => job.group ?? job.id

export function useProgress() {
  const jobs = useJobs()
  const own = computed(() => jobs.waiting.filter((job) => job.state !== 'paused' && isOwn(job)))
  const allOf = (order: string) => jobs.newestFirst.filter((job) => orderOf(job) === order && isOwn(job))

  /** How much of the order that is under way is done, from 0 to 1; null where none is. */
  const share = computed(() => {
    const running = own.value.find((job) => job.state === 'running')
    if (!running) return null
    const all = allOf(orderOf(running))
    return all.reduce((sum, job) => sum + (FINISHED.includes(job.state) ? 1 : job.progress), 0) / all.length
  })

  watch(
    () => [...new Set(own.value.map(orderOf))],
    (now, before) => {
      if (!preferences.notify || document.hasFocus()) return
      for (const order of before) if (!now.includes(order)) tell(allOf(order))
    },
  )
  return { share }
}

/** The browser's notification of an order that has ended; none of one that was cancelled, or is paused. */
function tell(all: readonly JobView[]): void {
  const failed = all.filter((job) => job.state === 'failed').length
  const done = all.filter((job) => job.state === 'done').length
  if (failed + done === 0 || all.some((job) => !FINISHED.includes(job.state))) return
  const { prompt, name, out, dataset } = all.at(-1)!.body as Record<string, unknown>
  const body = [prompt, name, out, dataset].find((one) => typeof one === 'string' && one) as string | undefined
  const title = failed ? t('notify.failed', { n: failed }) : t('notify.done', { n: done })
  try {
    const shown = new Notification(title.replaceAll(BETWEEN, ' · '), { body: (body ?? '').slice(0, 200), tag: orderOf(all[0]!), icon: '/seal.svg' })
    shown.onclick = () => {
      window.focus()
      shown.close()
    }
  } catch {
    // a phone's browser lets pages show none
  }
}
