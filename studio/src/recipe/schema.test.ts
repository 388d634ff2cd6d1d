import { expect, test } from 'vitest'

import { fresh, part, type Schema, shape, worded } from './schema'

const recipe: Schema = {
  properties: {
    steps: { type: 'integer', minimum: 1, default: 20 },
    clip_skip: { anyOf: [{ type: 'integer', maximum: 12 }, { type: 'null' }], default: null },
    hires: { anyOf: [{ $ref: '#/$defs/Hires' }, { type: 'null' }], default: null },
    init: { anyOf: [{ $ref: '#/$defs/ImageRef' }, { type: 'null' }] },
    resize: { enum: ['crop', 'fill'], type: 'string' },
    controls: { type: 'array', items: { $ref: '#/$defs/Control' }, default: [] },
    sampler_options: { type: 'object', additionalProperties: { type: 'number' } },
    from_size: { anyOf: [{ prefixItems: [], type: 'array' }, { type: 'null' }] },
  },
  $defs: {
    Hires: { properties: { scale: { type: 'number', default: 2 }, steps: { anyOf: [{ type: 'integer' }, { type: 'null' }], default: null } } },
    Control: { properties: { weight: { type: 'number', default: 1 }, image: { anyOf: [{ $ref: '#/$defs/ImageRef' }, { type: 'null' }] } } },
    ImageRef: { properties: { path: {}, sha256: {} } },
  },
}

test.each([
  ['steps', 'integer', false],
  ['clip_skip', 'integer', true],
  ['hires', 'part', true],
  ['hires.scale', 'number', false],
  ['hires.steps', 'integer', true],
  ['init', 'picture', true],
  ['resize', 'choice', false],
  ['from_size', 'numbers', true],
  ['controls', 'list', false],
  ['controls[].weight', 'number', false],
  ['controls[].image', 'picture', true],
  ['sampler_options', 'table', false],
])('%s', (path, kind, optional) => {
  const found = shape(part(recipe, path)!)
  expect([found.kind, found.optional]).toEqual([kind, optional])
})

test('paths that lead nowhere', () => {
  expect([part(recipe, 'nothing'), part(recipe, 'hires.nothing')]).toEqual([null, null])
})

test('a new part begins with its defaults', () => {
  expect(fresh(shape(part(recipe, 'hires')!).schema)).toEqual({ scale: 2 })
})

test('names become words', () => {
  expect(worded('old_prompt_timing')).toBe('Old prompt timing')
})
