import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'
import ChoiceField from '@/ui/ChoiceField.vue'
import Follow from '@/ui/Follow.vue'
import NumberField from '@/ui/NumberField.vue'

import Merge from './Merge.vue'
import Write from './Write.vue'

let running: object[]
beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  running = []
  setActivePinia(createPinia())
  useCatalogue().models = ['a', 'b', 'c'].map((name) => ({ kind: 'checkpoints', name, title: '', family: 'sd1' })) as never
  vi.spyOn(api, 'GET').mockImplementation((() => Promise.resolve({ data: { jobs: running }, response: new Response() })) as never)
})
afterEach(() => vi.restoreAllMocks())

async function merging(models: readonly string[], weights: readonly number[]) {
  const page = mount(Merge)
  await flushPromises()
  await page.findAll('button').find((one) => one.text() === 'Another model')!.trigger('click')
  for (const [i, name] of models.entries()) page.findAllComponents(ChoiceField).find((one) => (one.props() as { label: string }).label === `Model ${'ABC'[i]}`)!.vm.$emit('update:modelValue', name)
  for (const [i, weight] of weights.entries()) page.findAllComponents(NumberField)[i]!.vm.$emit('update:modelValue', weight)
  await flushPromises()
  return page
}

test.each([
  [['a', 'b', 'c'], ['a', 'b', 'c'], [0.3, 0.9]],
  [['a', '', 'c'], ['a', 'c'], [0.9]],
  [['', 'b', 'c'], ['b', 'c'], [0.9]],
])('each model goes by the weight beside it: %s', async (chosen, models, weights) => {
  const page = await merging(chosen, [0.3, 0.9])
  expect(page.findComponent(Write).props('work')()).toMatchObject({ models, weights })
})

test('a form that is pressed away is there again, and a merge that goes on is seen', async () => {
  ;(await merging(['a', 'b'], [0.25, 0.5])).unmount()
  running = [
    { id: 'j1', kind: 'merge', state: 'running', body: { out: 'mixed' }, step: 0, steps: 0 },
    { id: 'j0', kind: 'merge', state: 'done', body: { out: 'old' }, step: 0, steps: 0 },
  ]
  const page = mount(Merge)
  await flushPromises()
  expect(page.findComponent(Write).props('work')()).toMatchObject({ models: ['a', 'b'], weights: [0.25] })
  expect(page.findAllComponents(Follow).map((one) => one.props('label'))).toEqual(['mixed'])
})
