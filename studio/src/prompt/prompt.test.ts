import { expect, test } from 'vitest'

import { suggestions, typedAt } from './complete'
import { pieces } from './highlight'
import { has, moveElement, reweigh, toggled } from './weights'

const tints = (prompt: string) => pieces(prompt).filter((one) => one.tint !== 'plain').map((one) => `${one.tint} ${one.text} ${one.depth}`)

test.each([
  'a (red:1.2) apple',
  '((a) [b:c:0.5] \\( <lora:x:0.8> AND BREAK __colour__ {a|b}) )',
  '<img src=x onerror=alert(1)>',
  'a)b)',
])('the pieces of %s put together are the prompt', (prompt) => {
  expect(pieces(prompt).map((one) => one.text).join('')).toBe(prompt)
})

test('every part of the language has its tint', () => {
  expect(tints('(red:1.2)')).toEqual(['bracket ( 1', 'weight :1.2 1', 'bracket ) 1'])
  expect(tints('<lora:x:1> AND BAND __a/b__ {c|d} \\(')).toEqual([
    'network <lora:x:1> 0',
    'word AND 0',
    'choice __a/b__ 0',
    'choice { 0',
    'choice | 0',
    'choice } 0',
    'escaped \\( 0',
  ])
  expect(tints('[a (b)]').map((one) => one.slice(-1))).toEqual(['1', '2', '2', '1'])
})

const edit = (marked: string, change: (edited: { text: string; start: number; end: number }) => { text: string; start: number; end: number }) => {
  const start = marked.indexOf('|')
  const end = marked.lastIndexOf('|')
  const text = marked.replace(/\|/g, '')
  const made = change({ text, start, end: end > start ? end - 1 : start })
  return `${made.text.slice(0, made.start)}|${made.text.slice(made.start, made.end)}|${made.text.slice(made.end)}`
}

test.each([
  ['a re|d apple', true, 'a (|red|:1.1) apple'],
  ['a |red apple|', false, 'a (|red apple|:0.9)'],
  ['a (re|d:1.1) b', true, 'a (|red|:1.2) b'],
  ['a (re|d:1.1) b', false, 'a |red| b'],
  ['<lora:in|k:1>', false, '<|lora:ink:0.95|>'],
  ['<lora:in|k:0.5:0.2>', true, '<|lora:ink:0.55:0.2|>'],
  ['<|lora:ink:0.55|>', true, '<|lora:ink:0.6|>'],
  ['<lora:in|k>', true, '<lora:in||k>'],
  ['(re|d)', true, '(|red|:1.2)'],
  ['(re|d)', false, '|red|'],
  ['((re|d))', true, '(|red|:1.3)'],
  ['[re|d]', true, '|red|'],
  ['[re|d]', false, '(|red|:0.8)'],
  ['[re|d:blue:0.5]', true, '[(|red|:1.1):blue:0.5]'],
  [String.raw`miku \(vocal|oid\)`, true, String.raw`miku \((|vocaloid|:1.1)\)`],
  ['((a:1.2) |b:1.3)', true, '(|(a:1.2) b|:1.4)'],
  ['((|a:1.2) b:1.3)', true, '((|a|:1.3) b:1.3)'],
  ['(a |red| fox:1.2)', true, '(a (|red|:1.1) fox:1.2)'],
  ['(|a red fox|:1.2)', true, '(|a red fox|:1.3)'],
  ['a fo|x.', true, 'a (|fox|:1.1).'],
  ['红|色，绿色', true, '(|红色|:1.1)，绿色'],
  ['|', true, '||'],
  ['红|色的苹果', true, '(|红色的苹果|:1.1)'],
])('%s, up %s: %s', (marked, up, expected) => {
  expect(edit(marked, (edited) => reweigh(edited, up))).toBe(expected)
})

test.each([
  ['a, b|b, c', true, 'a, c, |bb|'],
  ['a, b|b, c', false, '|bb|, a, c'],
  ['|a, b', false, '||a, b'],
])('%s moved right %s: %s', (marked, right, expected) => {
  expect(edit(marked, (edited) => moveElement(edited, right))).toBe(expected)
})

test('words of the library come and go', () => {
  expect(toggled('', 'backlighting')).toBe('backlighting')
  expect(toggled('a cat,', 'backlighting')).toBe('a cat, backlighting')
  expect(toggled('a cat, backlighting, fog', 'backlighting')).toBe('a cat, fog')
  expect([has('a cat, fog', 'fog'), has('a foggy cat', 'fog')]).toEqual([true, false])
})

const sources = {
  networks: [{ insert: '<lora:ink:1>', label: 'ink', about: 'LoRA' }],
  words: [
    { insert: 'backlighting', label: 'backlighting', about: '逆光' },
    { insert: 'low key', label: 'low key', about: '低调光' },
  ],
  wildcards: [{ insert: '__colour__', label: 'colour', about: '' }],
}

test.each([
  ['a cat, back', 'back', 'backlighting'],
  ['a cat, 逆', '逆', 'backlighting'],
  ['a <lora:i', '<lora:i', '<lora:ink:1>'],
  ['a <in', '<in', '<lora:ink:1>'],
  ['a __co', '__co', '__colour__'],
  ['a cat, low k', 'low k', 'low key'],
  ['in the low k', 'low k', 'low key'],
])('%s is completed', (text, typed, insert) => {
  const found = suggestions(text, sources)
  expect(found[0]).toMatchObject({ insert })
  expect(typedAt(text, found[0]!)).toBe(typed)
})

test.each(['', 'a', 'a cat, ', 'zzz', 'a __colour__ '])('%s is left alone', (text) => {
  expect(suggestions(text, sources)).toEqual([])
})
