// What makes many pictures of one recipe, as it is typed; and the grids that were asked for, which the server keeps.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, watch } from 'vue'

import { api, call, type JobView, newKey, type Recipe, type Schemas } from '@/api/client'
import type { Schema } from '@/recipe/schema'
import { useCatalogue } from '@/recipe/catalogue'
import { FINISHED, useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'
import { preferences } from '@/stores/preferences'

import { NO_AXIS, type Axis } from './axes'
import { drawnOf } from './texts'

export type Script = Schemas['GridDraft']['script']
export type Kind = Script['kind']
export type Plan = Schemas['GridPlan']

const PAGE = 200
const PATIENCE = 350 // milliseconds after the last key
const RUNS = 30
const PLAIN = { prompt: '', negative: '', model: 'builtin', width: 128, height: 128, steps: 16, guidance_scale: 2, sampler: 'dpmpp_2m', strength: 0.75 }
const NOT_HERE = ['seed', 'mask', 'inpaint', 'outpaint', 'model_hash', 'dtype']

const NEW = {
  kind: 'xyz' as Kind,
  recipe: PLAIN as Record<string, unknown> & typeof PLAIN,
  seed: '1',
  axes: [
    { name: 'steps', values: '4-16 [3]' },
    { name: 'guidance_scale', values: '1-3 (+1)' },
    { name: NO_AXIS, values: '' },
  ] as Axis[],
  side: 'prompt' as 'prompt' | 'negative',
  atStart: false,
  delimiter: ', ' as ', ' | ' ',
  differentSeeds: false,
  lines: '',
  position: 'instead' as 'instead' | 'start' | 'end',
  countSeeds: false,
  loops: 4,
  finalStrength: 0.5,
  curve: 'aggressive' as 'aggressive' | 'linear' | 'lazy',
  margin: 0,
  legend: true,
}

export const useGrids = defineStore('grids', () => {
  const jobs = useJobs()
  const catalogue = useCatalogue()
  const draft = reactive(kept('grids', structuredClone(NEW)))
  const plan = shallowRef<Plan | null>(null)
  const problem = ref<unknown>(null)
  const runs = shallowRef<readonly string[]>([]) // ids of sheets, the newest first
  const chosen = ref<string | null>(null)
  let asked = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const run = computed<JobView | undefined>(() => jobs.known.get(chosen.value ?? runs.value[0] ?? ''))
  const cells = computed(() => ((run.value?.body.jobs as string[] | undefined) ?? []).map((id) => jobs.known.get(id)))

  function script(): Script {
    switch (draft.kind) {
      case 'xyz':
        return { kind: 'xyz', axes: draft.axes.map((axis) => (axis.name === NO_AXIS ? null : { ...axis })) }
      case 'matrix':
        return { kind: 'matrix', side: draft.side, at_start: draft.atStart, delimiter: draft.delimiter, different_seeds: draft.differentSeeds }
      case 'lines':
        return { kind: 'lines', text: draft.lines, position: draft.position, count_seeds: draft.countSeeds }
      default:
        return { kind: 'loopback', loops: draft.loops, final_strength: draft.finalStrength, curve: draft.curve }
    }
  }

  function body(): Schemas['GridDraft'] {
    const known = (catalogue.found?.recipe as Schema | undefined)?.properties
    const recipe: Record<string, unknown> = Object.fromEntries(Object.entries(draft.recipe).filter(([name]) => !known || name in known))
    if (!recipe.init) for (const name of ['init', 'strength', 'resize', 'init_upscaler', 'match_colours', 'exact_steps']) delete recipe[name]
    return { recipe: { ...recipe, seed: draft.seed } as unknown as Recipe, script: script(), styles: [] }
  }

  /** Ask what would be made. */
  async function look(): Promise<void> {
    const own = ++asked
    try {
      const found = await call(api.POST('/api/v1/grids/plan', { body: body() }))
      if (own !== asked) return
      plan.value = found
      problem.value = null
    } catch (error) {
      if (own !== asked) return
      plan.value = null
      problem.value = error
    }
  }

  watch(draft, () => {
    keep('grids', draft)
    clearTimeout(timer)
    timer = setTimeout(() => void look(), PATIENCE)
  })

  /** What is drawn on the sheet in place of the server's labels: those in the language of the moment. Throws a Problem. */
  async function labels(asked: Schemas['GridDraft']): Promise<Record<string, string>> {
    if (preferences.language === 'en' || asked.script.kind !== 'xyz') return {}
    const axes = catalogue.found?.axes ?? []
    const found = await call(api.POST('/api/v1/grids/plan', { body: asked }))
    const sides = [found.columns, found.rows, found.layers].map((headers, i) => {
      const name = asked.script.kind === 'xyz' ? asked.script.axes[i]?.name : undefined
      return drawnOf(headers, axes.find((one) => one.name === name), axes)
    })
    return Object.assign({}, ...sides) as Record<string, string>
  }

  /** Ask for the pictures and their sheet. Throws a Problem. */
  async function submit(): Promise<void> {
    const asked = body()
    const order = { ...asked, key: `grid-${newKey()}`, priority: 0, folder: '', margin: draft.margin, legend: draft.legend, choices: true, labels: await labels(asked) }
    const made = await call(api.POST('/api/v1/grids', { body: order }))
    jobs.add([made.sheet, ...made.cells])
    runs.value = [made.sheet.id, ...runs.value]
    chosen.value = made.sheet.id
  }

  /** The grids that the server knows. */
  async function loadRuns(): Promise<void> {
    const pages = await Promise.all(
      ['sheet', 'loopback'].map((kind) => call(api.GET('/api/v1/jobs', { params: { query: { kind, limit: RUNS } } }))),
    )
    const found = pages.flatMap((page) => page.jobs).filter((job) => job.kind === 'loopback' || Array.isArray(job.body.jobs))
    jobs.add(found)
    runs.value = [...new Set([...runs.value, ...found.map((job) => job.id)])].sort().reverse() // one may have been asked for meanwhile
  }

  /** The pictures of a grid, with what they made. */
  async function loadCells(sheet: JobView): Promise<void> {
    let before: string | null = null
    do {
      const query: { group: string; limit: number; before?: string } = { group: sheet.group ?? sheet.id, limit: PAGE, ...(before ? { before } : {}) }
      const page: Schemas['Jobs'] = await call(api.GET('/api/v1/jobs', { params: { query } }))
      jobs.add(page.jobs)
      before = page.before ?? null
    } while (before)
    const missing = [sheet.id, ...((sheet.body.jobs as string[] | undefined) ?? [])].filter(
      (id) => jobs.known.get(id)?.state === 'done' && !jobs.results.has(id),
    )
    await Promise.all(missing.map(jobs.loadResults))
  }

  watch(run, (now, before) => now && now.id !== before?.id && void loadCells(now).catch(() => undefined), { immediate: true })

  const share = computed(() => {
    const all = cells.value
    if (!all.length) return run.value?.progress ?? 0
    return all.reduce((sum, job) => sum + (!job || FINISHED.includes(job.state) ? 1 : job.progress), 0) / all.length
  })

  /** Take the recipe that Create has at the moment, as this browser keeps it. */
  function takeDraft(): void {
    const found = kept('draft', { recipe: {} as Record<string, unknown>, seed: '', start: null as { sha256: string } | null })
    takeRecipe({ ...found.recipe, ...(found.seed ? { seed: found.seed } : {}) }, found.start?.sha256)
  }

  /** Take a recipe in place of what is there; pictures that it names are those that the server has. */
  function takeRecipe(recipe: Readonly<Record<string, unknown>>, start?: string): void {
    const said = Object.entries(recipe).filter(([name, value]) => value !== null && value !== undefined && !NOT_HERE.includes(name))
    draft.recipe = { ...structuredClone(PLAIN), ...Object.fromEntries(said) }
    if (start) draft.recipe.init = { path: '', sha256: start }
    if (recipe.seed !== undefined && recipe.seed !== null) draft.seed = String(recipe.seed)
  }

  return { draft, plan, problem, runs, run, chosen, cells, share, look, submit, loadRuns, takeDraft, takeRecipe }
})
