// What went wrong, with the fields of recipes called as the page calls them: not "recipes.0.steps", but Steps.
import type { Problem } from '@/api/client'
import { t } from '@/text/forms'
import { spoken } from '@/text/sentences'

import { nameOf } from './names'

const MISSING = 'Field required' // as the server says it

/** Where a field is, in words: 'recipes.0.image_prompts.1.image' is "Image prompts (IP-Adapter) 2, Picture". Null where it is no field of a recipe. */
export function placeOf(field: string): string | null {
  const parts = /^(?:recipes\.\d+|recipe)\.(.+)$/.exec(field)?.[1]?.split('.')
  if (!parts) return null
  let path = ''
  const names: string[] = []
  for (const part of parts) {
    if (/^\d+$/.test(part)) {
      path += '[]'
      names.push(t('place.nth', { name: names.pop() ?? '', place: Number(part) + 1 }))
    } else {
      path = path ? `${path}.${part}` : part
      names.push(nameOf(path))
    }
  }
  return names.reduce((outer, inner) => t('place.inside', { outer, inner }))
}

/** A problem in the language of the moment. */
export function told(problem: Problem): string {
  const where = problem.field && problem.message.startsWith(`${problem.field}: `) ? placeOf(problem.field) : null
  if (where === null) return spoken(problem.message)
  const what = problem.message.slice(problem.field!.length + 2)
  if (what !== MISSING) return t('place.in', { outer: where, inner: spoken(what) })
  return t(/(^|\.)image$/.test(problem.field!) ? 'place.picture' : 'place.missing', { where })
}
