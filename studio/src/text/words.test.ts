import { afterEach, expect, test } from 'vitest'

import { preferences } from '@/stores/preferences'

import { BETWEEN, dayOf, either, momentOf, texts, timeOf } from './words'

const t = texts('test', { hello: 'Hello {name}', jobs: '{n} job | {n} jobs' }, { hello: '你好 {name}', jobs: '{n} 个任务' })
afterEach(() => (preferences.language = 'en'))

test('a text is said in the language of the moment', () => {
  expect(t('hello', { name: 'A' })).toBe('Hello A')
  preferences.language = 'zh'
  expect(t('hello', { name: 'A' })).toBe('你好 A')
  preferences.language = 'both'
  expect(t('hello', { name: 'A' })).toBe(`Hello A${BETWEEN}你好 A`)
})

test('a bilingual text within another gives each language its own', () => {
  preferences.language = 'both'
  expect(t('hello', { name: either('A', '甲') })).toBe(`Hello A${BETWEEN}你好 甲`)
})

test('counts choose the plural', () => {
  expect([t('jobs', { n: 1 }), t('jobs', { n: 3 })]).toEqual(['1 job', '3 jobs'])
})

test('what the server says in both languages', () => {
  preferences.language = 'zh'
  expect([either('fast', '快'), either('fast', '')]).toEqual(['快', 'fast'])
  preferences.language = 'both'
  expect([either('fast', '快'), either('DDIM', 'DDIM')]).toEqual([`fast${BETWEEN}快`, 'DDIM'])
})

test('a day is written as the language has it', () => {
  preferences.language = 'zh'
  expect(dayOf(43_200)).toBe('1970/1/1')
  expect(momentOf(43_200)).toMatch(/^1970\/1\/1 \d\d:00:00$/)
  expect(timeOf(43_200)).toMatch(/^\d\d:00:00$/)
})
