import { createPinia, setActivePinia } from 'pinia'
import { expect, test } from 'vitest'

import { useDraft } from './draft'
import { useOwn } from './own'

test('settings are kept under a name, and leave prompts and the start picture alone', () => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  const store = useDraft()
  Object.assign(store.draft.recipe, { prompt: 'a fox', steps: 33, hires: { scale: 2 } })
  store.draft.count = 4
  useOwn().add('poster')
  useOwn().add('poster') // once
  setActivePinia(createPinia()) // the page is loaded again
  const again = useDraft()
  again.clear()
  Object.assign(again.draft.recipe, { prompt: 'a cat', clip_skip: 2 })
  again.draft.start = { sha256: 'a', width: 8, height: 8 }
  const own = useOwn()
  expect(own.own.all.map((one) => one.name)).toEqual(['poster'])
  own.take(own.own.all[0]!)
  expect(again.draft).toMatchObject({ count: 4, start: { sha256: 'a' }, recipe: { prompt: 'a cat', steps: 33, hires: { scale: 2 } } })
  expect(again.draft.recipe).not.toHaveProperty('clip_skip')
  again.draft.recipe.hires = null
  expect(own.own.all[0]!.recipe.hires).toEqual({ scale: 2 })
  again.restore()
  expect(again.draft.recipe).toMatchObject({ prompt: 'a cat', clip_skip: 2, steps: 20 })
  own.remove('poster')
  expect(own.own.all).toEqual([])
})
