import { beforeEach, expect, test } from 'vitest'

import { preferences } from '@/stores/preferences'

import { inChinese, learn, spoken } from './sentences'
import { BETWEEN } from './words'

beforeEach(() => {
  learn({ '{path}: carries no recipe; was it saved (again)?': '{path}：没有生成参数', 'Field required': '必须填写', 'no model {name}': '没有模型 {name}', '{name} cannot be used: {reason}; get it again': '{name} 无法使用：{reason}', 'it is too large': '它太大' })
})

test('what stands in a sentence is kept, and sentences inside it are said in Chinese, too', () => {
  expect(inChinese('a b.png: carries no recipe; was it saved (again)?')).toBe('a b.png：没有生成参数')
  expect(inChinese('No model x')).toBe('没有模型 x')
  expect(inChinese('m.ckpt cannot be used: it is too large; get it again')).toBe('m.ckpt 无法使用：它太大')
})

test('what stands before a colon may be anything', () => {
  expect(inChinese('recipes.0.prompt: Field required')).toBe('recipes.0.prompt：必须填写')
  expect(inChinese('one: two: it is too large')).toBe('one：two：它太大')
})

test('what is not known stays as it is, and what a stranger wrote in it is no pattern', () => {
  expect(inChinese('nobody knows this: or that')).toBe('nobody knows this: or that')
  expect(inChinese('no model {name} $& (.*)')).toBe('没有模型 {name} $& (.*)')
})

test('the language of the moment decides, and both are both', () => {
  preferences.language = 'en'
  expect(spoken('Field required')).toBe('Field required')
  preferences.language = 'zh'
  expect(spoken('Field required')).toBe('必须填写')
  preferences.language = 'both'
  expect(spoken('Field required')).toBe(`Field required${BETWEEN}必须填写`)
})
