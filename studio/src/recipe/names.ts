// What the fields of a recipe and their choices are called, in both languages; tests/studio/test_recipe_words.py sees that none lacks its name.
import { either } from '@/text/words'

import choices from './choices.json'
import names from './names.json'
import { worded } from './schema'

const NAMES = names as Record<string, string[]>
const CHOICES = choices as Record<string, string>

/** The name of the field at a path such as 'hires.strength' or 'controls[].weight'. */
export function nameOf(path: string): string {
  const leaf = path.split('.').pop() ?? ''
  const [en = worded(leaf), zh = ''] = NAMES[path] ?? NAMES[leaf] ?? []
  return either(en, zh)
}

/** What a choice of the field at a path is called. */
export function choiceOf(path: string, choice: string): string {
  const zh = CHOICES[`${path}=${choice}`] ?? CHOICES[choice] ?? ''
  return either(worded(choice), zh)
}

/** All that a search may find a field by: its name in both languages. */
export function wordsOf(path: string): string {
  return [path, ...(NAMES[path] ?? NAMES[path.split('.').pop() ?? ''] ?? [])].join(' ')
}
