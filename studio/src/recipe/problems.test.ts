import { afterEach, expect, test } from 'vitest'

import { Problem } from '@/api/client'
import { preferences } from '@/stores/preferences'
import { BETWEEN } from '@/text/words'

import { placeOf, told } from './problems'

afterEach(() => {
  preferences.language = 'en'
})
const problem = (field: string | null, what: string) => new Problem('request', field ? `${field}: ${what}` : what, 422, field)

test('fields have their names, and entries of lists their places', () => {
  expect(placeOf('recipes.0.image_prompts.1.image')).toBe('Image prompts (IP-Adapter) 2, Picture')
  expect(placeOf('recipe.steps')).toBe('Steps')
  expect(['key', 'body.steps', 'recipes'].map(placeOf)).toEqual([null, null, null])
})

test('what is missing says what to do', () => {
  expect(told(problem('recipe.image_prompts.0.image', 'Field required'))).toBe('Image prompts (IP-Adapter) 1, Picture: there is none yet. Choose one, or take the entry out.')
  expect(told(problem('recipes.0.prompt', 'Field required'))).toBe('Prompt is missing: fill it in, or take it out.')
  preferences.language = 'zh'
  expect(told(problem('recipe.image_prompts.0.image', 'Field required'))).toBe('图像提示（IP-Adapter） 1 的图片：还没有选择。请选择一张，或移除这一项。')
  preferences.language = 'both'
  expect(told(problem('recipes.0.prompt', 'Field required'))).toBe(`Prompt is missing: fill it in, or take it out.${BETWEEN}提示词还没有填：请填写，或移除它。`)
})

test('all else is told as the server tells it', () => {
  expect(told(problem('recipes.0.steps', 'Input should be less than 5'))).toBe('Steps: Input should be less than 5')
  expect(told(problem('key', 'Field required'))).toBe('key: Field required')
  expect(told(problem(null, 'no model of that name'))).toBe('no model of that name')
})
