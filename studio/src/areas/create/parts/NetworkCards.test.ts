import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, test } from 'vitest'

import { type ModelCard, useCatalogue } from '@/recipe/catalogue'

import { useDraft } from '../draft'
import NetworkCards from './NetworkCards.vue'

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
})

test.each([
  ['a fox', 'blurry', 'a fox, <lora:ink:0.7> ink wash, wet', 'blurry, ugly, lowres'],
  ['', '', '<lora:ink:0.7> ink wash, wet', 'ugly, lowres'],
])('a card puts its words into both prompts, and takes them out again: %s', async (prompt, negative, after, negativeAfter) => {
  useCatalogue().models = [{ kind: 'loras', name: 'ink', file: 'ink.safetensors', title: '', family: null, preview: '', trigger_words: ['ink wash, wet', 'other'], negative: 'ugly, lowres', weight: 0.7 } as unknown as ModelCard]
  const { draft } = useDraft()
  Object.assign(draft.recipe, { prompt, negative })
  const page = mount(NetworkCards, { props: { open: true }, global: { stubs: { Sheet: { template: '<div><slot /></div>' }, RefreshModels: true } } })
  const press = () => page.find('.cards button').trigger('click')
  await press()
  expect([draft.recipe.prompt, draft.recipe.negative]).toEqual([after, negativeAfter])
  await press()
  expect([draft.recipe.prompt, draft.recipe.negative]).toEqual([prompt, negative])
})
