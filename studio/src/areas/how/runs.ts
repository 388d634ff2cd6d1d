// The pictures that are watched here, and the steps that the server has of them so far.
import { defineStore } from 'pinia'
import { computed, reactive, ref, watch } from 'vue'

import { api, call, ordered, Problem, type Recipe, type Schemas } from '@/api/client'
import { defaultsOf, useCatalogue } from '@/recipe/catalogue'
import { FINISHED, useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'
import { isAdmin } from '@/stores/who'
import { complain } from '@/ui/notes'

import { variants, type Axis, type Variant, type Wanted } from './axes'
import { t } from './texts'

export type Step = Schemas['TraceStep']
type Base = Readonly<Record<string, unknown>>
export interface Run {
  job: string
  label: string
  prompt: string
  steps: Step[]
}

const NEW = { prompt: '', seed: 1, steps: 16, guidance_scale: 2, sampler: 'dpmpp_2m', model: 'builtin', axis: 'none' }
const SHOWN = ['prompt', 'seed', 'steps', 'guidance_scale', 'sampler', 'model'] as const

export const useRuns = defineStore('how', () => {
  const wanted = reactive(kept('how', { ...NEW })) as Wanted & { axis: Axis }
  const base = ref<Base>(kept('how.base', { recipe: {} as Base }).recipe) // what else a picture's recipe says; nothing where it was begun here
  const remembered = kept('how.runs', { runs: [] as { job: string; label: string; prompt: string }[] })
  const runs = ref<Run[]>(remembered.runs.map((run) => ({ ...run, steps: [] })))
  const jobs = useJobs()
  const unfinished = (all: readonly Run[]) => all.filter((run) => !FINISHED.includes(jobs.known.get(run.job)?.state ?? 'done'))
  const working = computed(() => unfinished(runs.value).length > 0)
  const longest = computed(() => Math.max(0, ...runs.value.map((run) => run.steps.length)))

  watch(wanted, () => keep('how', wanted))
  watch(base, () => keep('how.base', { recipe: base.value }))
  watch(
    () => runs.value.map((run) => [run.job, jobs.known.get(run.job)?.step, jobs.known.get(run.job)?.state].join()),
    (now, before) => now.forEach((state, i) => state !== before[i] && runs.value[i] && jobs.known.has(runs.value[i].job) && load(runs.value[i]).catch(() => undefined)), // it was removed meanwhile
  )

  async function load(run: Run): Promise<void> {
    const { steps } = await call(api.GET('/api/v1/jobs/{job}/trace', { params: { path: { job: run.job } } }))
    if (steps.length >= run.steps.length) run.steps = steps
  }

  /** Steps of the pictures that were watched before a reload; what the server has forgotten is let go. */
  async function reload(): Promise<void> {
    const before = runs.value
    const found = await Promise.allSettled(before.map(load))
    if (runs.value !== before) return // others were asked for meanwhile
    runs.value = runs.value.filter((run, i) => found[i]?.status === 'fulfilled' && (run.steps.length || jobs.known.has(run.job)))
  }

  /** Make the pictures, each with its steps. Throws a Problem. */
  async function start(): Promise<void> {
    const { axis, ...one } = wanted
    await ask(variants(one, axis).map((variant) => [variant.label, recipeOf(variant, base.value)] as const))
  }

  /** Watch a picture of the gallery come about once more. Throws a Problem. */
  async function retrace(picture: string): Promise<void> {
    const view = await call(api.GET('/api/v1/gallery/{picture}', { params: { path: { picture } } }))
    if (!view.recipe) throw new Problem('how', t('recipe.none'))
    const recipe = view.recipe
    for (const name of SHOWN) if (recipe[name] !== undefined && recipe[name] !== null) Object.assign(wanted, { [name]: name === 'seed' ? Number(recipe.seed) : recipe[name] })
    wanted.axis = 'none'
    base.value = recipe
    await ask([['', recipe as unknown as Recipe]])
  }

  async function ask(all: readonly (readonly [string, Recipe])[]): Promise<void> {
    const body = { recipes: all.map(([, recipe]) => recipe), priority: isAdmin.value ? 1 : 0, folder: '', trace: true }
    const made = await ordered(body, (key) => call(api.POST('/api/v1/jobs', { body: { ...body, key } })))
    const before = runs.value
    jobs.add(made)
    runs.value = made.map((job, i) => ({ job: job.id, label: all[i]?.[0] ?? '', prompt: String(job.body.prompt ?? ''), steps: [] }))
    keep('how.runs', { runs: runs.value.map(({ job, label, prompt }) => ({ job, label, prompt })) })
    await cancel(before.filter(({ job }) => !made.some(({ id }) => id === job))).catch(complain) // nobody looks at them any more
  }

  /** No more is made of these pictures; what there is of them stays. Throws a Problem. */
  async function cancel(which: readonly Run[] = runs.value): Promise<void> {
    await Promise.all(unfinished(which).map((run) => jobs.act(run.job, 'cancel')))
  }

  return { wanted, base, runs, working, longest, start, retrace, reload, cancel }
})

/** A variant of the recipe of a picture; of nothing: in the size that the model was made for. */
function recipeOf({ prompt, seed, steps, guidance_scale, sampler, model }: Variant, base: Base): Recipe {
  const { width, height } = defaultsOf(useCatalogue().ofKind('checkpoints').find((card) => card.name === model))
  const { model_hash, ...own } = base
  return {
    width, height, ...own, prompt, steps, guidance_scale, sampler, model,
    ...(model_hash && base.model === model ? { model_hash } : {}),
    seed: Number(base.seed) === seed ? base.seed : seed, // it can be larger than what numbers hold exactly
  } as unknown as Recipe
}
