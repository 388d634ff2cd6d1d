// Tags that prompts are completed with, such as Danbooru's: the lists lie on the server, each browser remembers which of them it uses.
import { reactive, shallowRef, watch } from 'vue'

import { api, call, type Schemas } from '@/api/client'
import { newest } from '@/api/newest'
import { keep, kept } from '@/stores/kept'

import type { Suggestion } from './complete'

const MOST = 8
const REACH = 300 // characters before the cursor that may be of a tag
const ESCAPED: Readonly<Record<string, RegExp>> = { native: /[()[\]\\#]/g, a1111: /[()[\]\\]/g, comfyui: /[()]/g } // what prompts take for more than itself
const PART = /(?:\\[^\n]|[^,，、\n()[\]{}|<>:\\])*$/ // a bracket that is escaped is a part of a tag
const FACE = /^(?!.*[\p{L}\p{N}]{2})/u // such as >_<, which keeps its underscore

/** Which list prompts are completed with: the usual ones if none is named. */
export const choice = reactive(kept('tags', { on: true, list: '' }))
watch(choice, () => keep('tags', choice))

export const lists = shallowRef<readonly Schemas['TagListView'][]>([])
let loading: Promise<void> | undefined

/** Look which lists there are. Throws a Problem. */
export const loadLists = newest(
  () => call(api.GET('/api/v1/tags')),
  (found) => (lists.value = found),
)

/** The same, now that somebody is about to write; completion does without. */
export function prepare(): void {
  loading = loadLists().catch(() => undefined)
}

/** Tags that the text before the cursor could become. Throws a Problem. */
export async function tagsFor(before: string, profile: string): Promise<Suggestion[]> {
  await loading
  const used = lists.value.filter((one) => one.tags && !one.translation)
  const of = used.some((one) => one.name === choice.list) ? choice.list : ''
  const part = partOf(before)
  if (!choice.on || !used.length || !part.trim()) return []
  const found = await call(api.GET('/api/v1/tags/complete', { params: { query: { words: plain(part), of, limit: MOST } } }))
  const typed = endingOf(part, found.typed)
  return found.tags
    .map((tag) => ({ insert: written(tag.name, profile), label: tag.alias ? `${tag.alias} → ${spaced(tag.name)}` : spaced(tag.name), about: '', typed: typed.length, tag }))
    .filter((offer) => offer.insert !== typed)
}

/** Of tags that were found for a text those that go on fitting while it is typed on. */
export function stillFitting(offers: readonly Suggestion[], before: string, now: string): Suggestion[] {
  const more = now.slice(before.length)
  if (!now.startsWith(before) || partOf(now).length <= more.length) return []
  return offers.flatMap((offer) => {
    const typed = offer.typed + more.length
    const wanted = folded(plain(now.slice(now.length - typed)))
    return offer.tag && [offer.label, offer.tag.meaning].some((text) => folded(text).includes(wanted)) ? [{ ...offer, typed }] : []
  })
}

/** A tag as prompts have it: with spaces, and its brackets escaped as the language of the profile wants. */
export function written(name: string, profile: string): string {
  const special = ESCAPED[profile]
  return special ? spaced(name).replace(special, '\\$&') : spaced(name)
}

const spaced = (name: string) => (FACE.test(name) ? name : name.replaceAll('_', ' '))
const folded = (text: string) => text.replaceAll('_', ' ').toLowerCase()
const plain = (part: string) => part.replace(/\\(.)/g, '$1')

/** What may be of a tag before the cursor: back to a comma, a line, or a bracket. */
const partOf = (before: string) => PART.exec(before.slice(-REACH))![0].trimStart()

/** The end of a part that says some words. */
function endingOf(part: string, words: string): string {
  const starts = [0, ...[...part.matchAll(/\s+/g)].map((space) => space.index + space[0].length)]
  return starts.map((start) => part.slice(start)).find((end) => plain(end) === words) ?? part
}
