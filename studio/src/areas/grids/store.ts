// What makes many pictures of one recipe, as it is typed; and the grids that were asked for, which the server keeps.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, watch } from 'vue'

import { api, call, type JobView, ordered, type Recipe, type Schemas } from '@/api/client'
import { asked as fit } from '@/recipe/asked'
import type { Schema } from '@/recipe/schema'
import { useCatalogue } from '@/recipe/catalogue'
import { FINISHED, useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'
import { preferences } from '@/stores/preferences'

import { NO_AXIS, SIDES, type Axis } from './axes'
import { drawnOf } from './texts'

export type Script = Schemas['GridDraft']['script']
export type Kind = Script['kind']
export type Plan = Schemas['GridPlan']

const PAGE = 200
const PATIENCE = 350 // milliseconds after the last key
const RUNS = 30
const PLAIN = { prompt: '', negative: '', model: 'builtin', width: 128, height: 128, steps: 16, guidance_scale: 2, sampler: 'dpmpp_2m', strength: 0.75 }
const NOT_HERE = ['seed', 'model_hash', 'dtype']
const OF_PICTURE = ['mask', 'inpaint', 'outpaint'] // of one start picture alone

const NEW = {
  kind: 'xyz' as Kind,
  recipe: PLAIN as Record<string, unknown> & typeof PLAIN,
  seed: '1',
  styles: [] as string[],
  axes: [
    { name: 'steps', values: '4-16 [3]' },
    { name: 'guidance_scale', values: '1-3 (+1)' },
    { name: NO_AXIS, values: '' },
  ] as Axis[],
  vary: '', // the sides, such as xz, along which each place has another seed
  anySeeds: false,
  subGrids: false,
  side: 'prompt' as 'prompt' | 'negative',
  atStart: false,
  delimiter: ', ' as ', ' | ' ',
  differentSeeds: false,
  lines: '',
  position: 'instead' as 'instead' | 'start' | 'end',
  countSeeds: false,
  loops: 4,
  describeBy: '', // a captioner
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
  const open = computed(() => [run.value, ...cells.value].filter((job): job is JobView => job !== undefined && !FINISHED.includes(job.state)))
  const cells = computed(() => ((run.value?.body.jobs as string[] | undefined) ?? []).map((id) => jobs.known.get(id)))

  function script(): Script {
    switch (draft.kind) {
      case 'xyz':
        return { kind: 'xyz', axes: draft.axes.map((axis) => (axis.name === NO_AXIS ? null : { ...axis })), vary_seeds: draft.vary, any_seeds: draft.anySeeds }
      case 'matrix':
        return { kind: 'matrix', side: draft.side, at_start: draft.atStart, delimiter: draft.delimiter, different_seeds: draft.differentSeeds }
      case 'lines':
        return { kind: 'lines', text: draft.lines, position: draft.position, count_seeds: draft.countSeeds }
      default:
        return { kind: 'loopback', loops: draft.loops, final_strength: draft.finalStrength, curve: draft.curve, ...(draft.describeBy ? { describe_by: draft.describeBy } : {}) }
    }
  }

  function body(): Schemas['GridDraft'] {
    const known = (catalogue.found?.recipe as Schema | undefined)?.properties
    return { recipe: { ...fit(draft.recipe, known), seed: draft.seed } as unknown as Recipe, script: script(), styles: draft.styles }
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
    const sheet = { margin: draft.margin, legend: draft.legend, sub_grids: draft.subGrids }
    const order = { ...asked, ...sheet, priority: 0, folder: '', choices: true, labels: await labels(asked) }
    const made = await ordered(order, (key) => call(api.POST('/api/v1/grids', { body: { ...order, key: `grid-${key}` } })))
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
    const none = null as { sha256: string } | null
    const { recipe, seed, styles, start, mask } = kept('draft', { recipe: {} as Record<string, unknown>, seed: '', styles: [] as string[], start: none, mask: none })
    const named = (picture: { sha256: string }) => ({ path: '', sha256: picture.sha256 })
    const pictures = start ? { init: named(start), ...(mask ? { mask: named(mask) } : {}) } : {}
    takeRecipe({ ...fit({ ...recipe, ...pictures }), ...(seed ? { seed } : {}) })
    draft.styles = [...styles]
  }

  /** Take a recipe in place of what is there; pictures that it names are those that the server has. */
  function takeRecipe(recipe: Readonly<Record<string, unknown>>): void {
    const said = Object.entries(recipe).filter(([name, value]) => value !== null && value !== undefined && !NOT_HERE.includes(name))
    draft.recipe = { ...structuredClone(PLAIN), ...Object.fromEntries(said) }
    draft.styles = []
    if (recipe.seed !== undefined && recipe.seed !== null) draft.seed = String(recipe.seed)
  }

  /** Another start picture, or none: what was painted on the one before goes with it. */
  function begin(sha256: string | null): void {
    for (const name of ['init', ...OF_PICTURE]) delete draft.recipe[name]
    if (sha256) draft.recipe.init = { path: '', sha256 }
  }

  /** Two axes change places, and with them where seeds vary. */
  function swap(one: number, other: number): void {
    const { axes } = draft
    ;[axes[one], axes[other]] = [axes[other]!, axes[one]!]
    const at = (i: number) => (i === one ? other : i === other ? one : i)
    draft.vary = SIDES.filter((_, i) => draft.vary.includes(SIDES[at(i)]!)).join('')
  }

  /** Another seed at each place along a side, or not. */
  function vary(side: (typeof SIDES)[number], on: boolean): void {
    draft.vary = SIDES.filter((one) => (one === side ? on : draft.vary.includes(one))).join('')
  }

  /** No more of the grid that is looked at is made. Throws a Problem. */
  async function cancel(): Promise<void> {
    await Promise.all(open.value.map((job) => jobs.act(job.id, 'cancel')))
  }

  return { draft, plan, problem, runs, run, chosen, cells, open, share, look, submit, cancel, loadRuns, takeDraft, takeRecipe, begin, swap, vary }
})
