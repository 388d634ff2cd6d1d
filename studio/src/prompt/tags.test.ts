import { expect, test } from 'vitest'

import { appended, tagsIn, without, withStrength } from './tags'

const prompt = 'a cat, <lora:ink wash:0.8:start=3>, <hypernet:soft>'

test('networks of a prompt', () => {
  expect(tagsIn(prompt).map(({ kind, name, strength }) => `${kind} ${name} ${strength}`)).toEqual(['lora ink wash 0.8', 'hypernet soft 1'])
  expect(tagsIn('<lora:>, <other:x:1>, a < b')).toEqual([])
})

test('their strength changes and they go', () => {
  const [ink, soft] = tagsIn(prompt)
  expect(withStrength(prompt, ink!, 1.25)).toBe('a cat, <lora:ink wash:1.25:start=3>, <hypernet:soft>')
  expect(withStrength(prompt, soft!, -0.1)).toBe('a cat, <lora:ink wash:0.8:start=3>, <hypernet:soft:-0.1>')
  expect(without(prompt, ink!)).toBe('a cat, <hypernet:soft>')
  expect(without('<lora:x:1> ', tagsIn('<lora:x:1> ')[0]!)).toBe('')
  expect(without('<lora:x:1>, a cat', tagsIn('<lora:x:1>, a cat')[0]!)).toBe('a cat')
})

test('and come', () => {
  expect(appended('', '<lora:x:1>')).toBe('<lora:x:1>')
  expect(appended('a cat, ', '<lora:x:1>')).toBe('a cat, <lora:x:1>')
})
