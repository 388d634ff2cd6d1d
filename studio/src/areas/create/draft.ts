// What will be asked for next: kept in this browser as it is typed, so that a reload loses nothing.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, toRaw, watch } from 'vue'

import { api, asProblem, call, type JobView, ordered, Problem, type Recipe, sizeAt } from '@/api/client'
import { newest } from '@/api/newest'
import { asked } from '@/recipe/asked'
import { defaultsOf, useCatalogue } from '@/recipe/catalogue'
import { fresh, type Schema, shape } from '@/recipe/schema'
import { useJobs } from '@/stores/jobs'
import { keep, kept, share, shared } from '@/stores/kept'

import { matched, patiently, type Said, saying, type Sizes } from './batch'
import { t } from './texts'

export const BUILTIN = 'builtin'
const MOST_PROMPTS = 200 // that are remembered
const RANDOM_SEEDS = 2 ** 32
const TOGETHER = 100 // recipes of one call
const SOFT = 4 // standard deviation in pixels that AUTOMATIC1111 blurs masks with

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
  name?: string // of its file
  said?: Said // what is written in it
}

/** What a recipe began with and this server has not: by it a mask finds its file again, and a person the picture. */
export interface Lost {
  what: 'start' | 'mask'
  name: string // of its file; empty where nobody knows
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
  masks: [] as SentPicture[], // of several start pictures, matched by name; a single one is for all
  sizes: 'pixels' as Sizes, // of further start pictures
  said: [] as string[], // what each start picture says for itself
  folder: '', // of the results of several
  lost: [] as Lost[],
}
export type Draft = typeof NEW

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

  /** Set a field of how a mask is used. */
  function setInpaint(name: string, value: unknown): void {
    const schema = catalogue.schemaOf('inpaint')
    set('inpaint', { ...(schema ? fresh(shape(schema).schema) : {}), ...draft.recipe.inpaint, [name]: value } as never)
  }

  /** A new mask has a soft edge, unless something else was said. */
  function soften(): void {
    if (!draft.recipe.inpaint) setInpaint('blur', SOFT)
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

  /** The pictures that are begun from, each with its mask: where masks are given by name, those that have one. */
  const starts = computed(() => {
    const all = draft.start ? [draft.start, ...draft.more] : []
    if (!draft.masks.length) return all.map((picture, i) => ({ picture, mask: i ? null : draft.mask }))
    const { of } = matched(all, draft.masks)
    return all.flatMap((picture, i) => (of[i] ? [{ picture, mask: of[i] }] : []))
  })

  /** The recipes that the draft stands for, with seeds side by side. Throws a Problem where no start picture has a mask. */
  function recipes(): Recipe[] {
    const first = draft.seed === '' ? BigInt(Math.floor(Math.random() * RANDOM_SEEDS)) : BigInt(draft.seed)
    const recipe = asRecipe()
    if (draft.start && !starts.value.length) throw new Problem('request', t('batch.unmatched'))
    const seeds = Array.from({ length: draft.count }, (_, i) => BigInt(i))
    const all = draft.start ? starts.value.map((one) => begun(recipe, one)) : [{ recipe, said: undefined }]
    return all.flatMap((one) =>
      seeds.map((further) => {
        const seed = (from: bigint) => written((from + further) % 2n ** 64n)
        return saying({ ...one.recipe, seed: seed(first) }, one.said, draft.said, (own) => seed(BigInt(own))) as unknown as Recipe
      }),
    )
  }

  /** The recipe for one of the start pictures. */
  function begun(recipe: Record<string, unknown>, { picture, mask }: { picture: SentPicture; mask: SentPicture | null }): { recipe: Record<string, unknown>; said: Said | undefined } {
    const size = picture === draft.start ? {} : sizeLike(picture)
    return { recipe: { ...recipe, init: named(picture), ...(mask ? { mask: named(mask) } : {}), ...size }, said: draft.more.length ? picture.said : undefined }
  }

  /** The size of a further start picture. */
  function sizeLike(picture: SentPicture): Size {
    const { width, height } = draft.recipe
    if (draft.sizes === 'same') return { width, height }
    const by = draft.sizes === 'own' ? scale.value : Math.sqrt((width * height) / (picture.width * picture.height))
    return { width: eights(picture.width * by), height: eights(picture.height * by) }
  }

  function asRecipe(): Record<string, unknown> {
    const known = (catalogue.found?.recipe as Schema | undefined)?.properties
    return asked({ ...draft.recipe, ...pictures(draft) }, known)
  }

  /** Send an order, so many recipes at a time. What was taken is known, though the rest is refused. Throws a Problem. */
  async function send(all: readonly Recipe[], key: string): Promise<JobView[]> {
    const body = { priority: 0, folder: draft.more.length ? draft.folder : '', styles: draft.styles, choices: true, group: key }
    const made: JobView[] = []
    for (let at = 0; at < all.length; at += TOGETHER) {
      const part = { ...body, recipes: all.slice(at, at + TOGETHER), key: at ? `${key}-${at}` : key }
      try {
        made.push(...(await patiently(() => call(api.POST('/api/v1/jobs', { body: part })))))
      } catch (error) {
        if (!at) throw error
        throw new Problem(asProblem(error).kind, `${t('batch.partly', { n: at, of: all.length })} ${asProblem(error).message}`)
      } finally {
        useJobs().add(made)
      }
    }
    return made
  }

  /** Ask for the pictures. Throws a Problem. */
  async function submit(): Promise<JobView[]> {
    const lacks = pictureless(draft.recipe.image_prompts)
    unfinished.value = lacks === null ? 0 : unfinished.value + 1
    if (lacks !== null) throw missing(`recipes.0.image_prompts.${lacks}.image`)
    const all = recipes()
    const made = await ordered([asRecipe(), draft], (key) => send(all, key))
    remember()
    return made
  }

  /** Begin from a picture, in its proportions and at about the size that the model was made for. */
  async function begin(picture: SentPicture | null): Promise<void> {
    if (picture) await catalogue.load().catch(() => undefined) // which model that is; without it the size is a guess
    holdPictures()
    draft.start = picture
    draft.mask = null
    draft.more = []
    draft.masks = []
    draft.lost = []
    set('outpaint', undefined)
    if (!picture) return
    Object.assign(draft.recipe, sizeOf(picture))
  }

  /** A picture in the place of one that this server has not: all that was set stays as it is. */
  function found(what: Lost['what'], picture: SentPicture): void {
    draft[what] = picture
    draft.lost = draft.lost.filter((one) => one.what !== what)
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
    holdPictures()
    draft.more.push(picture)
    draft.mask = null
    outpaint(NONE)
  }

  // how often pictures were asked for while an entry of a list lacked its own; its field says so
  const unfinished = ref(0)
  // the draft before it was replaced, to go back to; what is to be opened next on the start picture; and prompts that were sent
  const before = shallowRef<Draft | null>(null)
  const wanted = ref<'mask' | 'sketch' | 'outpaint' | null>(null)
  const past = shared('prompts', { all: [] as Words[] })

  /** Keep the draft as it is, to go back to. */
  function hold(): void {
    before.value = JSON.parse(JSON.stringify(toRaw(draft))) as Draft
  }

  /** The same where something was made of the start picture that is about to go: a mask, margins, more pictures. */
  function holdPictures(): void {
    if (draft.mask || draft.masks.length || draft.more.length || draft.recipe.outpaint) hold()
  }

  function unmask(): void {
    holdPictures()
    draft.mask = null
  }

  /** Other prompts in place of those that are there. */
  function say(words: Partial<Words>): void {
    const { prompt, negative } = draft.recipe
    if (prompt?.trim() || negative?.trim()) hold()
    Object.assign(draft.recipe, words)
  }

  function restore(): void {
    if (before.value) Object.assign(draft, before.value)
    before.value = null
  }

  function remember(): void {
    const { prompt = '', negative = '' } = draft.recipe
    if (!prompt.trim()) return
    past.all = [{ prompt, negative }, ...past.all.filter((one) => one.prompt !== prompt || one.negative !== negative)].slice(0, MOST_PROMPTS)
    share('prompts', past)
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

  /** Take a recipe in place of the draft's, with its start picture and mask; those that this server has not are `lost`. */
  async function takeRecipe(recipe: Record<string, unknown>): Promise<void> {
    hold()
    const { seed, ...rest } = recipe
    const said = Object.entries(rest).filter(([name, value]) => value !== null && value !== undefined && !NOT_OF_A_DRAFT.includes(name))
    draft.recipe = { ...structuredClone(NEW.recipe), ...Object.fromEntries(said) } as Wanted
    draft.seed = seed === undefined || seed === null ? '' : String(seed)
    draft.styles = []
    draft.start = draft.mask = null
    draft.more = draft.masks = draft.lost = []
    const start = wantedOf(recipe.init) ?? (Number(recipe.strength ?? 1) < 1 ? { path: '', sha256: null } : null) // else nothing has a strength
    await loadStart(start, wantedOf(recipe.mask))
  }

  const loadStart = newest(
    async (start: Reference | null, mask: Reference | null) => ({ start: start && (await known(start)), mask: mask && (await known(mask)) }),
    (read: Record<Lost['what'], SentPicture | string | null>) => {
      draft.lost = (['start', 'mask'] as const).flatMap((what) => (typeof read[what] === 'string' ? [{ what, name: read[what] }] : []))
      draft.start = typeof read.start === 'string' ? null : read.start
      draft.mask = typeof read.mask === 'string' ? null : read.mask
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
      if (draft.more.length) draft.sizes = 'own' // so many times is said of all
    },
  })

  function clear(): void {
    hold()
    Object.assign(draft, structuredClone(NEW))
  }

  return {
    draft, model, scale, unfinished, before, wanted, past, unmask, say, restore, takeText, addPicture, addEntry, set, setInpaint, soften, choose,
    recipes, submit, starts, begin, found, alsoFrom, outpaint, takeRecipe, clear,
  }
})

const eights = (length: number) => Math.max(8, Math.round(length / 8) * 8)

/** A size of these proportions with as many pixels as a square of this side; in steps that models were trained with. */
export function shaped(ratio: number, side: number): Size {
  const step = side >= 512 ? 64 : 8
  const snap = (length: number) => Math.max(step, Math.round(length / step) * step)
  return { width: snap(side * Math.sqrt(ratio)), height: snap(side / Math.sqrt(ratio)) }
}

interface Reference {
  path: string
  sha256: string | null
}

/** A picture that a recipe names, though it may name it by nothing that this server knows. */
function wantedOf(picture: unknown): Reference | null {
  if (picture === null || picture === undefined) return null
  const { path = '', sha256 = null } = picture as Partial<Reference>
  return { path, sha256 }
}

/** A picture that was sent before; the name of its file where it is not here. Throws a Problem. */
async function known({ path, sha256 }: Reference): Promise<SentPicture | string> {
  const name = path.replace(/^.*[\\/]/, '').replace(/^[0-9a-f]{64}\.png$/, '') // that by which a server keeps it says nothing
  if (sha256 === null) return name
  try {
    return { sha256, ...(await sizeAt(`/api/v1/images/${sha256}`)) }
  } catch (error) {
    if (asProblem(error).status === 404) return name
    throw error
  }
}

/** The start picture and the mask, where there are any. */
function pictures({ start, mask }: Pick<Draft, 'start' | 'mask'>): Record<string, unknown> {
  return start ? { init: named(start), ...(mask ? { mask: named(mask) } : {}) } : {}
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
