// A recipe as lines for people: what is set, in the order in which it matters, nothing twice.
import { nameOf } from '@/recipe/names'

export interface Line {
  name: string
  value: string
}

const FIRST = ['negative', 'model', 'seed', 'width', 'height', 'steps', 'sampler', 'schedule', 'guidance_scale', 'strength']
const TOLD_ELSEWHERE = new Set(['prompt'])

/** Lines of a recipe; parts of it are told as `name=value` pairs. */
export function lines(recipe: Readonly<Record<string, unknown>> | null): Line[] {
  const names = Object.keys(recipe ?? {}).filter((name) => !TOLD_ELSEWHERE.has(name))
  const rank = (name: string) => (FIRST.indexOf(name) + 1 || FIRST.length + 1)
  names.sort((a, b) => rank(a) - rank(b))
  return names.flatMap((name) => {
    const value = written(recipe?.[name], name)
    return value === '' ? [] : [{ name: nameOf(name), value }]
  })
}

function written(value: unknown, path: string): string {
  if (value === null || value === undefined || value === false || value === '') return ''
  if (Array.isArray(value)) return value.map((one) => written(one, `${path}[]`)).filter(Boolean).join('; ')
  if (typeof value === 'object') {
    const parts = Object.entries(value).map(([name, part]) => [`${path}.${name}`, written(part, `${path}.${name}`)] as const)
    return parts.filter(([, part]) => part !== '').map(([inner, part]) => `${nameOf(inner)}=${part}`).join(', ')
  }
  return value === true ? '✓' : String(value as string | number)
}
