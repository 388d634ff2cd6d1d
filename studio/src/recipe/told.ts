// A recipe as lines for people: what is set, in the order in which it matters, nothing twice.
import { BETWEEN } from '@/text/words'

import { nameOf } from './names'

export interface Line {
  name: string
  value: string
}

const FIRST = ['negative', 'model', 'seed', 'width', 'height', 'steps', 'sampler', 'schedule', 'guidance_scale', 'strength']
const TOLD_ELSEWHERE = new Set(['prompt'])

/** Lines of a recipe; parts of it are told as `name=value` pairs, and texts as `said` calls them: 'euler_ancestral' is Euler a. */
export function lines(recipe: Readonly<Record<string, unknown>> | null, said: (path: string, value: string) => string = (_, value) => value): Line[] {
  const names = Object.keys(recipe ?? {}).filter((name) => !TOLD_ELSEWHERE.has(name))
  const rank = (name: string) => (FIRST.indexOf(name) + 1 || FIRST.length + 1)
  names.sort((a, b) => rank(a) - rank(b))
  return names.flatMap((name) => {
    const value = written(recipe?.[name], name, said)
    return value === '' ? [] : [{ name: nameOf(name), value }]
  })
}

function written(value: unknown, path: string, said: (path: string, value: string) => string): string {
  if (value === null || value === undefined || value === false || value === '') return ''
  if (Array.isArray(value)) return both(value.map((one) => written(one, `${path}[]`, said)).filter(Boolean), '; ')
  if (typeof value === 'object') {
    const parts = Object.entries(value).map(([name, part]) => [`${path}.${name}`, written(part, `${path}.${name}`, said)] as const)
    return both(parts.filter(([, part]) => part !== '').map(([inner, part]) => both([nameOf(inner), part], '=')), ', ')
  }
  return value === true ? '✓' : typeof value === 'string' ? said(path, value) : String(value as number)
}

/** Texts with something between them; of bilingual ones each language by itself. */
function both(all: readonly string[], between: string): string {
  const [en, zh] = ([0, 1] as const).map((which) => all.map((one) => one.split(BETWEEN)[which] ?? one).join(between))
  return en === zh ? en! : en! + BETWEEN + zh!
}
