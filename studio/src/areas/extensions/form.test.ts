import { expect, test } from 'vitest'

import { begun, order, type Panel } from './form'

const input = (name: string, kind: string, more: object = {}) => ({ name, label: name, label_zh: '', kind, choices: [], default: null, ...more })
const panel: Panel = {
  title: 'Shout', title_zh: '', work: 'shout', page: '',
  inputs: [input('words', 'text'), input('times', 'number', { default: 2 }), input('loud', 'switch'), input('how', 'choice', { choices: ['a', 'b'] }), input('picture', 'picture')],
} // prettier-ignore

test('a form begins with what the panel says, or with nothing', () => {
  expect(begun(panel)).toEqual({ values: { words: '', times: 2, loud: false, how: 'a' }, picture: null })
})

test('an order names the picture beside the other values', () => {
  const form = begun(panel)
  form.values.words = 'hi'
  expect(order(form, 'k')).toEqual({ body: { words: 'hi', times: 2, loud: false, how: 'a' }, picture: null, key: 'k' })
  form.picture = { path: '', sha256: 'f'.repeat(64) }
  expect(order(form, 'k').picture).toBe('f'.repeat(64))
})
