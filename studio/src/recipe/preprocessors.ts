// Preprocessors and their parameters, as people call them; tests/studio/test_recipe_words.py sees that none lacks its name.
import { either } from '@/text/words'

import { choiceOf } from './names'
import parameters from './parameters.json'
import { worded } from './schema'

const PARAMETERS = parameters as Record<string, string[]>

/** The name of a preprocessor: its own, which tutorials use; only where there is none it is said. */
export function preprocessorOf(one: { name: string; label: string }): string {
  return one.name === 'none' ? choiceOf('preprocessor', 'none') : one.label
}

/** The name of one of its parameters. */
export function parameterOf(name: string): string {
  const [en = worded(name), zh = ''] = PARAMETERS[name] ?? []
  return either(en, zh)
}
