// Model files as cards: in an order that each page remembers, and by the folders that they lie in.
import { type Ref, ref, watch } from 'vue'

import { keep, kept } from '@/stores/kept'
import { dayOf } from '@/text/words'

import type { ModelCard } from './catalogue'

/** What of a card says where it lies and when it came. */
export type Shelved = Pick<ModelCard, 'kind' | 'name' | 'file' | 'title' | 'size' | 'created' | 'changed'>

export const ORDERS = ['path', 'name', 'created', 'changed', 'size'] as const
export interface Order {
  by: (typeof ORDERS)[number]
  down: boolean // from the last to the first
}

export interface Folder {
  path: string
  name: string // the last part of it
  count: number // of files in it and below it
}

const collator = new Intl.Collator('zh-Hans', { numeric: true }) // file2 before file10

/** The order that a page's cards are in, remembered by this browser. */
export function useOrder(page: string): Ref<Order> {
  const found = kept(page, { by: 'path', down: false } as Order)
  const order = ref<Order>(ORDERS.includes(found.by) ? found : { ...found, by: 'path' })
  watch(order, (now) => keep(page, now))
  return order
}

/** Cards in an order; kinds stay together where it is that of paths. */
export function sorted<C extends Shelved>(cards: readonly C[], { by, down }: Order): C[] {
  const kinds = new Map([...new Set(cards.map((card) => card.kind))].map((kind, place) => [kind, place]))
  const path = (card: Shelved) => (card.name === 'builtin' ? '' : card.file)
  const byPath = (a: Shelved, b: Shelved) => kinds.get(a.kind)! - kinds.get(b.kind)! || collator.compare(path(a), path(b))
  const compare = (a: Shelved, b: Shelved) => {
    if (by === 'path') return byPath(a, b)
    return by === 'name' ? collator.compare(calledOf(a), calledOf(b)) : a[by] - b[by]
  }
  return [...cards].sort((a, b) => (down ? compare(b, a) : compare(a, b)) || byPath(a, b))
}

/** What a card shows as its name. */
const calledOf = (card: Shelved) => card.title || card.name.slice(card.name.lastIndexOf('/') + 1)

/** The folder of a file, from its shelf on; empty for what lies on the shelf itself. */
export const folderOf = (card: Pick<Shelved, 'file'>) => card.file.slice(0, Math.max(0, card.file.lastIndexOf('/')))

/** Cards of files in a folder and below it. */
export function below<C extends Pick<Shelved, 'file'>>(cards: readonly C[], folder: string): C[] {
  return folder ? cards.filter((card) => card.file.startsWith(`${folder}/`)) : [...cards]
}

/** The folders that a folder has. */
export function foldersIn(cards: readonly Pick<Shelved, 'file'>[], folder: string): Folder[] {
  const counts = new Map<string, number>()
  for (const card of below(cards, folder)) {
    const [name, ...rest] = card.file.slice(folder ? folder.length + 1 : 0).split('/')
    if (rest.length) counts.set(name!, (counts.get(name!) ?? 0) + 1)
  }
  const found = [...counts].map(([name, count]) => ({ name, count, path: folder ? `${folder}/${name}` : name }))
  return found.sort((a, b) => collator.compare(a.name, b.name))
}

/** The file that a prompt means by a name, as the server finds it: its path or the end of it, as it is written before other capitals. */
export function meantBy<C extends Pick<Shelved, 'name'>>(cards: readonly C[], name: string): C | undefined {
  for (const fold of [(text: string) => text, (text: string) => text.toLowerCase()]) {
    const wanted = fold(name).replaceAll('\\', '/')
    const found = cards.find((card) => fold(card.name) === wanted) ?? cards.find((card) => fold(card.name).endsWith(`/${wanted}`))
    if (found) return found
  }
  return undefined
}

/** The day that cards are in the order of, to be shown on each; else nothing. */
export const dayIn = (card: Shelved, { by }: Order) => (by === 'created' || by === 'changed' ? dayOf(card[by]) : '')

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB']

/** Bytes as people say them. */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3))
  const number = bytes / 1000 ** power
  return `${power && number < 10 ? number.toFixed(1) : Math.round(number)} ${UNITS[power]}`
}
