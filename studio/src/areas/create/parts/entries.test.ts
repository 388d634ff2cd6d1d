import { createPinia, setActivePinia } from 'pinia'
import { expect, test } from 'vitest'
import { reactive } from 'vue'

import { entriesOf, type Entry } from './entries'

test('a copy of an entry with parts of its own is another one', () => {
  setActivePinia(createPinia())
  const recipe = reactive({ controls: [{ weight: 1, image: { path: '', sha256: 'a' } }] as readonly Entry[] })
  const entries = entriesOf('controls', () => recipe.controls, (all) => (recipe.controls = all ?? []))
  entries.copy(0)
  expect(recipe.controls).toEqual([recipe.controls[0], { weight: 1, image: { path: '', sha256: 'a' } }])
  ;(recipe.controls[1]!.image as { sha256: string }).sha256 = 'b'
  expect(recipe.controls[0]!.image).toEqual({ path: '', sha256: 'a' })
})
