// What will be asked for next: kept in this browser as it is typed, so that a reload loses nothing.
import { defineStore } from 'pinia'
import { reactive, watch } from 'vue'

import { api, call, type JobView, type Recipe } from '@/api/client'
import { keep, kept } from '@/stores/kept'
import { useJobs } from '@/stores/jobs'

export const BUILTIN = 'builtin'
const RANDOM_SEEDS = 2 ** 32

export const NEW = {
  prompt: '',
  negative: '',
  model: BUILTIN,
  width: 128,
  height: 128,
  steps: 20,
  guidance_scale: 2,
  sampler: 'dpmpp_2m',
  schedule: null as string | null,
  seed: '', // decimal; empty is another one each time
  count: 1,
}
export type Draft = typeof NEW

export const useDraft = defineStore('draft', () => {
  const draft = reactive<Draft>(kept('draft', { ...NEW }))
  watch(draft, () => keep('draft', draft))

  /** The recipes that the draft stands for, with seeds side by side. */
  function recipes(): Recipe[] {
    const { seed, count, ...recipe } = draft
    const first = seed === '' ? BigInt(Math.floor(Math.random() * RANDOM_SEEDS)) : BigInt(seed)
    return Array.from({ length: count }, (_, i) => ({ ...recipe, seed: written(first + BigInt(i)) }) as unknown as Recipe)
  }

  /** Ask for the pictures. Throws a Problem. */
  async function submit(): Promise<JobView[]> {
    const key = crypto.randomUUID() // should the call be sent twice, it is one order
    const made = await call(api.POST('/api/v1/jobs', { body: { recipes: recipes(), key, priority: 0, folder: '' } }))
    useJobs().add(made)
    return made
  }

  return { draft, recipes, submit }
})

/** A seed as JSON takes it: beyond what JavaScript's numbers hold, as text. */
function written(seed: bigint): number | string {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : String(seed)
}
