// What will be asked for next: kept in this browser as it is typed, so that a reload loses nothing.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, toRaw, watch } from 'vue'

import { api, call, type JobView, newKey, Problem, type Recipe, sizeAt } from '@/api/client'
import { newest } from '@/api/newest'
import { defaultsOf, useCatalogue } from '@/recipe/catalogue'
import { fresh, type Schema, shape } from '@/recipe/schema'
import { useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'

import { sent } from './parts/entries'

export const BUILTIN = 'builtin'
const MOST_PROMPTS = 200 // that are remembered
const RANDOM_SEEDS = 2 ** 32

export interface Margins {
  left: number
  top: number
  right: number
  bottom: number
}

export interface SentPicture {
  sha256: string
  width: number
  height: number
}

type Size = Pick<SentPicture, 'width' | 'height'>

/** The fields of a recipe, of which those that are not there have their defaults. */
export type Wanted = Partial<Omit<Recipe, 'seed'>> & { width: number; height: number; steps: number; guidance_scale: number }

export interface Words {
  prompt: string
  negative: string
}

export const NEW = {
  recipe: { prompt: '', negative: '', model: BUILTIN, width: 128, height: 128, steps: 20, guidance_scale: 2, sampler: 'dpmpp_2m' } as Wanted,
  seed: '', // decimal; empty is another one each time
  count: 1,
  styles: [] as string[],
  start: null as SentPicture | null,
  more: [] as SentPicture[], // further start pictures: each is an order of its own
  mask: null as SentPicture | null,
}
export type Draft = typeof NEW

const OF_START = ['init', 'mask', 'inpaint', 'outpaint', 'inversion', 'strength', 'resize', 'init_upscaler', 'match_colours', 'exact_steps'] as const
const LISTS = ['controls', 'image_prompts', 'networks', 'boxes'] as const // whose entries can be put aside
const NONE: Margins = { left: 0, top: 0, right: 0, bottom: 0 }
const NOT_OF_A_DRAFT = ['init', 'mask', 'model_hash', 'dtype']

export const useDraft = defineStore('draft', () => {
  const draft = reactive<Draft>(kept('draft', structuredClone(NEW)))
  const catalogue = useCatalogue()
  watch(draft, () => keep('draft', draft))
  const model = computed(() => catalogue.ofKind('checkpoints').find((card) => card.name === draft.recipe.model))

  /** Set a field of the recipe; undefined is its default. */
  function set<K extends keyof Recipe>(name: K, value: Recipe[K] | undefined): void {
    const recipe = draft.recipe as Record<string, unknown>
    if (value === undefined) delete recipe[name]
    else recipe[name] = value
  }

  /** Take another model; where it was made for another size or guidance than the one before, these go with it, and proportions stay. */
  function choose(name: string): void {
    const before = defaultsOf(model.value)
    draft.recipe.model = name
    const { width: side, guidance_scale } = defaultsOf(model.value)
    if (guidance_scale !== before.guidance_scale) draft.recipe.guidance_scale = guidance_scale
    if (side === before.width) return
    const size = draft.start ? sizeOf(draft.start, margins()) : shaped(draft.recipe.width / draft.recipe.height, side)
    Object.assign(draft.recipe, size)
  }

  const margins = (): Margins => ({ ...NONE, ...((draft.recipe.outpaint ?? {}) as Partial<Margins>) })

  /** The recipes that the draft stands for, with seeds side by side. */
  function recipes(): Recipe[] {
    const first = draft.seed === '' ? BigInt(Math.floor(Math.random() * RANDOM_SEEDS)) : BigInt(draft.seed)
    const recipe = asRecipe()
    const others = draft.start ? draft.more.map((picture) => ({ ...recipe, init: named(picture), ...sizeOf(picture) })) : []
    const seeds = Array.from({ length: draft.count }, (_, i) => written((first + BigInt(i)) % 2n ** 64n))
    return [recipe, ...others].flatMap((one) => seeds.map((seed) => ({ ...one, seed }) as unknown as Recipe))
  }

  function asRecipe(): Record<string, unknown> {
    const known = (catalogue.found?.recipe as Schema | undefined)?.properties
    const fields = Object.entries(draft.recipe).filter(([name]) => !known || name in known)
    const recipe: Record<string, unknown> = Object.fromEntries(fields)
    for (const name of LISTS) if (recipe[name]) recipe[name] = sent(recipe[name])
    if (!(recipe.boxes as unknown[] | undefined)?.length) delete recipe.gligen // it heeds nothing else
    const regional = recipe.regional as { regions?: unknown } | undefined
    if (regional) recipe.regional = { ...regional, regions: sent(regional.regions) }
    if (!draft.start) for (const name of OF_START) delete recipe[name]
    else {
      recipe.init = named(draft.start)
      recipe.strength ??= 0.75
      delete recipe.hires // a second pass follows pictures made from noise
      if (draft.mask) recipe.mask = named(draft.mask)
    }
    return recipe
  }

  /** Ask for the pictures. Throws a Problem. */
  async function submit(): Promise<JobView[]> {
    const lacks = pictureless(draft.recipe.image_prompts)
    unfinished.value = lacks === null ? 0 : unfinished.value + 1
    if (lacks !== null) throw missing(`recipes.0.image_prompts.${lacks}.image`)
    const body = { recipes: recipes(), key: newKey(), priority: 0, folder: '', styles: draft.styles, choices: true }
    const made = await call(api.POST('/api/v1/jobs', { body }))
    useJobs().add(made)
    remember()
    return made
  }

  /** Begin from a picture, in its proportions and at about the size that the model was made for. */
  async function begin(picture: SentPicture | null): Promise<void> {
    if (picture) await catalogue.load().catch(() => undefined) // which model that is; without it the size is a guess
    draft.start = picture
    draft.mask = null
    draft.more = []
    set('outpaint', undefined)
    if (!picture) return
    Object.assign(draft.recipe, sizeOf(picture))
  }

  /** The proportions of a picture, at about the size that the model was made for, and as much more as there are margins. */
  function sizeOf(picture: SentPicture, { left, top, right, bottom } = NONE): Size {
    const { width: side } = defaultsOf(model.value)
    const scale = side / Math.sqrt(picture.width * picture.height)
    return { width: eights((picture.width + left + right) * scale), height: eights((picture.height + top + bottom) * scale) }
  }

  /** Another start picture besides the first; masks and margins are of one picture alone. */
  async function alsoFrom(picture: SentPicture): Promise<void> {
    if (!draft.start) return begin(picture)
    draft.more.push(picture)
    draft.mask = null
    outpaint(NONE)
  }

  // how often pictures were asked for while an entry of a list lacked its own; its field says so
  const unfinished = ref(0)
  // the draft before it was replaced, to go back to; what is to be opened next on the start picture; and prompts that were sent
  const before = shallowRef<Draft | null>(null)
  const wanted = ref<'mask' | 'sketch' | 'outpaint' | null>(null)
  const past = reactive<{ all: Words[] }>(kept('prompts', { all: [] as Words[] }))

  function restore(): void {
    if (before.value) Object.assign(draft, before.value)
    before.value = null
  }

  function remember(): void {
    const { prompt = '', negative = '' } = draft.recipe
    if (!prompt.trim()) return
    past.all = [{ prompt, negative }, ...past.all.filter((one) => one.prompt !== prompt || one.negative !== negative)].slice(0, MOST_PROMPTS)
    keep('prompts', past)
  }

  /** The recipe in a text that AUTOMATIC1111 or another tool wrote, in place of the draft's. Throws a Problem. */
  async function takeText(text: string): Promise<string[]> {
    const found = await call(api.POST('/api/v1/read/text', { body: { text } }))
    await takeRecipe(found.recipe)
    return found.warnings
  }

  /** Another entry of a list that takes pictures. */
  const addPicture = (list: 'controls' | 'image_prompts', picture: SentPicture) => addEntry(list, { image: named(picture) })

  function addEntry(list: 'controls' | 'image_prompts', values: object): void {
    const schema = catalogue.schemaOf(`${list}[]`)
    const entry = { ...(schema ? fresh(shape(schema).schema) : {}), ...values }
    set(list, [...((draft.recipe[list] ?? []) as object[]), entry] as never)
  }

  /** Take a recipe in place of the draft's, with its start picture and mask. Throws a Problem where the server has these no more. */
  async function takeRecipe(recipe: Record<string, unknown>): Promise<void> {
    before.value = JSON.parse(JSON.stringify(toRaw(draft))) as Draft
    const { seed, ...rest } = recipe
    const said = Object.entries(rest).filter(([name, value]) => value !== null && value !== undefined && !NOT_OF_A_DRAFT.includes(name))
    draft.recipe = { ...structuredClone(NEW.recipe), ...Object.fromEntries(said) } as Wanted
    draft.seed = seed === undefined || seed === null ? '' : String(seed)
    draft.styles = []
    draft.start = draft.mask = null
    draft.more = []
    await loadStart(digestOf(recipe.init), digestOf(recipe.mask))
  }

  const loadStart = newest(
    async (start: string | null, mask: string | null) => [start && (await known(start)), mask && (await known(mask))] as const,
    ([start, mask]) => {
      draft.start = start || null
      draft.mask = mask || null
    },
  )

  /** A larger canvas around the start picture, which keeps its size in the result; no margins: none. */
  function outpaint(by: Margins): void {
    const { start } = draft
    if (!start) return
    const before = (draft.recipe.outpaint ?? {}) as Partial<Margins>
    const scale = draft.recipe.width / (start.width + (before.left ?? 0) + (before.right ?? 0))
    draft.recipe.width = eights((start.width + by.left + by.right) * scale)
    draft.recipe.height = eights((start.height + by.top + by.bottom) * scale)
    const some = by.left + by.top + by.right + by.bottom > 0
    set('outpaint', some ? ({ feather: 16, ...before, ...by } as never) : undefined)
    if (some) draft.recipe.strength = 1 // what is new has nothing to keep
  }

  /** How many times as large as the start picture, with its margins, the result is. */
  const scale = computed({
    get: () => (draft.start ? draft.recipe.width / (draft.start.width + margins().left + margins().right) : 1),
    set: (by) => {
      const { left, top, right, bottom } = margins()
      const { width = 0, height = 0 } = draft.start ?? {}
      if (draft.start) Object.assign(draft.recipe, { width: eights((width + left + right) * by), height: eights((height + top + bottom) * by) })
    },
  })

  function clear(): void {
    before.value = JSON.parse(JSON.stringify(toRaw(draft))) as Draft
    Object.assign(draft, structuredClone(NEW))
  }

  return { draft, model, scale, unfinished, before, wanted, past, restore, takeText, addPicture, addEntry, set, choose, recipes, submit, begin, alsoFrom, outpaint, takeRecipe, clear }
})

const eights = (length: number) => Math.max(8, Math.round(length / 8) * 8)

/** A size of these proportions with as many pixels as a square of this side; in steps that models were trained with. */
export function shaped(ratio: number, side: number): Size {
  const step = side >= 512 ? 64 : 8
  const snap = (length: number) => Math.max(step, Math.round(length / step) * step)
  return { width: snap(side * Math.sqrt(ratio)), height: snap(side / Math.sqrt(ratio)) }
}

const digestOf = (picture: unknown) => (picture as { sha256?: string | null } | null | undefined)?.sha256 ?? null

/** A picture that was sent before. Throws a Problem where it is gone. */
async function known(sha256: string): Promise<SentPicture> {
  return { sha256, ...(await sizeAt(`/api/v1/images/${sha256}`)) }
}

function named(picture: SentPicture): { path: string; sha256: string } {
  return { path: '', sha256: picture.sha256 }
}

/** The first entry that is used and has no picture. */
function pictureless(all: unknown): number | null {
  const found = ((all ?? []) as { off?: boolean; image?: unknown }[]).findIndex((one) => !one.off && !one.image)
  return found < 0 ? null : found
}

/** As the server would say it. */
function missing(field: string): Problem {
  return new Problem('request', `${field}: Field required`, 422, field)
}

/** A seed as JSON takes it: beyond what JavaScript's numbers hold, as text. */
function written(seed: bigint): number | string {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : String(seed)
}
