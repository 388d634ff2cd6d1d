// Settings under names of one's own, kept in this browser: all of a draft but what is asked for and what it starts from.
import { defineStore } from 'pinia'

import { share, shared } from '@/stores/kept'

import { type Draft, NEW, useDraft, type Wanted } from './draft'

export interface OwnPreset {
  name: string
  recipe: Partial<Wanted>
  count: number
  styles: string[]
}

const OF_THE_PICTURE: readonly string[] = ['prompt', 'negative', 'init', 'mask', 'outpaint']
const parted = (recipe: object, ofThePicture: boolean) =>
  Object.fromEntries(Object.entries(recipe).filter(([name]) => OF_THE_PICTURE.includes(name) === ofThePicture))
const copied = <T>(value: T) => JSON.parse(JSON.stringify(value)) as T

export const useOwn = defineStore('own', () => {
  const store = useDraft()
  const own = shared('presets', { all: [] as OwnPreset[] })

  function put(all: OwnPreset[]): void {
    own.all = all
    share('presets', own)
  }

  const others = (name: string) => own.all.filter((one) => one.name !== name)
  const remove = (name: string) => put(others(name))

  /** Keep the settings of now; one of that name is replaced. */
  function add(name: string): void {
    const { recipe, count, styles } = store.draft
    put([...others(name), copied({ name, recipe: parted(recipe, false) as Partial<Wanted>, count, styles })])
  }

  /** Take settings in place of the draft's; prompts and the start picture stay. */
  function take({ recipe, count, styles }: OwnPreset): void {
    store.before = copied(store.draft) as Draft
    const said = parted(store.draft.recipe, true)
    Object.assign(store.draft, copied({ recipe: { ...parted(NEW.recipe, false), ...recipe, ...said }, count, styles }))
  }

  return { own, add, remove, take }
})
