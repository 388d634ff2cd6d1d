// What the text before the cursor could become: networks after '<', wildcards after '__', and words of the library in either
// language.
import type { Schemas } from '@/api/client'

export interface Offer {
  insert: string
  label: string
  about: string
  languages?: readonly [ofLabel: string, ofAbout: string] // where they are two
  tag?: Schemas['TagView'] // of a booru
}

export interface Suggestion extends Offer {
  typed: number // characters before the cursor that it replaces
}

export interface Sources {
  networks: readonly Offer[]
  words: readonly Offer[]
  wildcards: readonly Offer[]
}

const MOST = 8
const CHINESE = /[\u3400-\u9fff]/

/** The best first; none where nothing fits or too little was typed. */
export function suggestions(before: string, sources: Sources): Suggestion[] {
  const network = networkAt(before)
  if (network) return matching(sources.networks, network[1]!, network[0].length)
  const wildcard = wildcardAt(before)
  if (wildcard) return matching(sources.wildcards, wildcard[1]!, wildcard[0].length)
  return ofWords(before, sources.words)
}

/** Whether words are typed, no network and no wildcard. */
export const areWords = (before: string) => !networkAt(before) && !wildcardAt(before)

const networkAt = (before: string) => /<(?:\w+:)?([^<>:\n]*)$/.exec(before)
const wildcardAt = (before: string) => ((before.match(/__/g)?.length ?? 0) % 2 === 1 ? /__([\w/-]*)$/.exec(before) : null)

/** What was typed of a suggestion. */
export function typedAt(before: string, suggestion: Suggestion): string {
  return before.slice(before.length - suggestion.typed)
}

function matching(offers: readonly Offer[], typed: string, length: number): Suggestion[] {
  const wanted = typed.toLowerCase()
  const found = offers.filter((offer) => `${offer.label} ${offer.about}`.toLowerCase().includes(wanted))
  return ranked(found, wanted).map((offer) => ({ ...offer, typed: length }))
}

/** The last words before the cursor, up to three of them and not across a comma, the longest that fits. */
function ofWords(before: string, words: readonly Offer[]): Suggestion[] {
  const part = /[^,\n()[\]{}|<>:]*$/.exec(before)![0].trimStart()
  const starts = [0, ...[...part.matchAll(/\s+/g)].map((space) => space.index + space[0].length)].slice(-4)
  for (const start of starts) {
    const typed = part.slice(start)
    if (typed.length < 2 && !CHINESE.test(typed)) continue
    const wanted = typed.toLowerCase()
    const found = words.filter((offer) => fits(offer, wanted))
    if (found.length) return ranked(found, wanted).map((offer) => ({ ...offer, typed: typed.length }))
  }
  return []
}

function fits(offer: Offer, wanted: string): boolean {
  const label = offer.label.toLowerCase()
  return label !== wanted && (label.startsWith(wanted) || label.includes(` ${wanted}`) || (CHINESE.test(wanted) && offer.about.includes(wanted)))
}

function ranked(offers: Offer[], wanted: string): Offer[] {
  const rank = (offer: Offer) => (offer.label.toLowerCase().startsWith(wanted) ? 0 : 1)
  return [...offers].sort((a, b) => rank(a) - rank(b) || a.label.length - b.label.length).slice(0, MOST)
}
