// What the server can do, asked for once: samplers, schedules, upscalers, and every field of a recipe with its sentence.
import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'

import { api, call, type Schemas } from '@/api/client'
import { newest } from '@/api/newest'
import { useJobs } from '@/stores/jobs'
import { either } from '@/text/words'

import { part, type Schema } from './schema'

export type ModelCard = Schemas['ModelCard']
const MAKES_MODELS: readonly string[] = ['merge', 'convert', 'prune', 'download', 'train'] // jobs

export const useCatalogue = defineStore('catalogue', () => {
  const found = shallowRef<Schemas['CatalogueView'] | null>(null)
  const models = shallowRef<ModelCard[]>([])
  const about = shallowRef<Schemas['About'] | null>(null)
  const loading = ref<Promise<void> | null>(null)
  const sentences = computed(() => new Map(found.value?.fields.map((field) => [field.path, field])))

  /** Loads what is not there yet. Throws a Problem, and tries again the next time. */
  function load(): Promise<void> {
    loading.value ??= Promise.all([
      call(api.GET('/api/v1/catalogue')).then((all) => (found.value = all)),
      loadModels(),
      call(api.GET('/api/v1/about')).then((all) => (about.value = all)),
    ]).then(
      () => undefined,
      (error) => {
        loading.value = null
        throw error
      },
    )
    return loading.value
  }

  const loadModels = newest(
    () => call(api.GET('/api/v1/models')),
    (found) => (models.value = found.models),
  )

  /** Let the server look at its shelves again. Throws a Problem. */
  async function refresh(): Promise<void> {
    await call(api.POST('/api/v1/models/refresh'))
    await loadModels()
  }

  // a job that made a model has ended
  const jobs = useJobs()
  watch(
    () => [...jobs.known.values()].filter((job) => job.state === 'done' && MAKES_MODELS.includes(job.kind)).length,
    () => loading.value && loadModels().catch(() => undefined), // what is known stays
  )

  const ofKind = (kind: ModelCard['kind']) => models.value.filter((card) => card.kind === kind)

  /** What a field of a recipe means, such as 'hires.strength'. */
  function explain(path: string): string {
    const field = sentences.value.get(path)
    return field ? either(field.explanation, field.explanation_zh) : ''
  }

  /** The JSON schema of a field. */
  const schemaOf = (path: string): Schema | null => (found.value ? part(found.value.recipe as Schema, path) : null)

  return { found, models, about, load, loadModels, refresh, ofKind, explain, schemaOf }
})

/** Sizes and guidance that a model was made for. */
export function defaultsOf(card: ModelCard | undefined): { width: number; height: number; guidance_scale: number } {
  if (!card || card.name === 'builtin') return { width: 128, height: 128, guidance_scale: 2 }
  const side = card.family?.startsWith('sdxl') ? 1024 : card.family === 'sd2' && card.prediction === 'v' ? 768 : 512
  return { width: side, height: side, guidance_scale: 7 }
}
