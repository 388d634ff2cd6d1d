// Data sets and trainings, as the server has them, and the training that is being put together here.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, watch } from 'vue'

import { api, call, type JobView, type Schemas } from '@/api/client'
import { useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'

export type Setting = Schemas['Setting']
export type Method = Schemas['TrainingMethod']
export type Value = string | number | boolean
const RUNS = 30

/** How Create is asked to use what was learnt: networks as tags of the prompt, what sees a picture as a control, checkpoints as the model. */
export function used(shelf: string, name: string): Record<string, string> {
  switch (shelf) {
    case 'loras':
      return { add: `<lora:${name}:1>` }
    case 'hypernetworks':
      return { add: `<hypernet:${name}:1>` }
    case 'embeddings':
      return { add: name }
    case 'controlnet':
    case 't2i_adapter':
      return { control: name }
    default:
      return { model: name }
  }
}

export const useTraining = defineStore('training', () => {
  const jobs = useJobs()
  const schema = shallowRef<Schemas['TrainingSchema'] | null>(null)
  const sets = shallowRef<readonly Schemas['DataSetCard'][]>([])
  const runs = shallowRef<readonly string[]>([]) // ids, the newest first
  const chosen = ref<string | null>(null)
  const view = ref<'sets' | 'new' | 'runs'>('sets')
  const wanted = reactive(
    kept('training', { method: 'lora', dataset: '', name: '', model: 'builtin', preset: 'usual', sample: '', replace: false, settings: {} as Record<string, Value> }),
  )
  watch(wanted, () => keep('training', wanted))

  const method = computed<Method | undefined>(() => schema.value?.methods.find((one) => one.name === wanted.method))
  const settings = computed(() => (schema.value?.settings ?? []).filter((one) => !one.methods?.length || one.methods.includes(wanted.method)))
  const run = computed<JobView | undefined>(() => jobs.known.get(chosen.value ?? runs.value[0] ?? ''))

  async function load(): Promise<void> {
    const [found, all, page] = await Promise.all([
      schema.value ?? call(api.GET('/api/v1/training')),
      call(api.GET('/api/v1/datasets')),
      call(api.GET('/api/v1/jobs', { params: { query: { kind: 'train', limit: RUNS } } })),
    ])
    schema.value = found
    sets.value = all
    jobs.add(page.jobs)
    runs.value = [...new Set([...runs.value, ...page.jobs.map((job) => job.id)])].sort().reverse() // one may have begun meanwhile
  }

  async function loadSets(): Promise<void> {
    sets.value = await call(api.GET('/api/v1/datasets'))
  }

  /** Begin a training. Throws a Problem. */
  async function start(more: Readonly<Record<string, Value>>): Promise<void> {
    const known = new Set(settings.value.map((one) => one.name))
    const given = Object.entries({ ...more, ...wanted.settings }).filter(([name, value]) => known.has(name) && value !== '')
    const samples = wanted.sample.split('\n').map((line) => line.trim()).filter(Boolean)
    const work = {
      kind: 'train', method: wanted.method, dataset: wanted.dataset, name: wanted.name.trim(), model: wanted.model, replace: wanted.replace,
      settings: { ...Object.fromEntries(given), ...(samples.length ? { sample: samples } : {}) },
    } as unknown as Schemas['Train']
    const job = await jobs.errand(work)
    runs.value = [job.id, ...runs.value]
    chosen.value = job.id
    view.value = 'runs'
  }

  return { schema, sets, runs, run, chosen, view, wanted, method, settings, load, loadSets, ask: jobs.errand, start }
})
