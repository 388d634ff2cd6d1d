import { afterEach, expect, test } from 'vitest'

import type { Schemas } from '@/api/client'
import { preferences } from '@/stores/preferences'
import { BETWEEN } from '@/text/words'

import { drawnOf, headerOf } from './texts'

const axes = [
  { name: 'steps', label: 'Steps', values: 'whole', choices: [], among: '' },
  { name: 'guidance_scale', label: 'CFG Scale', values: 'number', choices: [], among: '' },
] as unknown as Schemas['AxisView'][]

afterEach(() => (preferences.language = 'en'))

test("headers are said in the page's language, both where it has both", () => {
  preferences.language = 'zh'
  expect(headerOf('Steps: 2', 'Steps', axes)).toBe('步数：2')
  expect(headerOf('CFG Scale: 7.5', 'CFG Scale', axes)).toBe('提示词引导系数 (CFG)：7.5')
  preferences.language = 'both'
  expect(headerOf('Steps: 2', 'Steps', axes)).toBe(`Steps: 2${BETWEEN}步数：2`)
})

test('what somebody typed, and axes that nobody knows, stay as they are', () => {
  preferences.language = 'zh'
  expect(headerOf('Steps: 2', undefined, axes)).toBe('Steps: 2')
  expect(headerOf('a fox', 'Steps', axes)).toBe('a fox')
  expect(headerOf('Ours: 2', 'Ours', axes)).toBe('Ours: 2')
})

test('on a sheet stands what the page says, in one line', () => {
  expect(drawnOf(['Steps: 2'], axes[0], axes)).toEqual({})
  preferences.language = 'zh'
  expect(drawnOf(['Steps: 2', 'a fox'], axes[0], axes)).toEqual({ 'Steps: 2': '步数：2' })
  preferences.language = 'both'
  expect(drawnOf(['Steps: 2'], axes[0], axes)).toEqual({ 'Steps: 2': 'Steps: 2 步数：2' })
  expect(drawnOf(['Steps: 2'], undefined, axes)).toEqual({})
})
