import { expect, test } from 'vitest'

import { AXES, curve, stepAt, variants, type Wanted } from './axes'

const WANTED: Wanted = { prompt: 'a cup', seed: 7, steps: 12, guidance_scale: 2, sampler: 'euler', model: 'builtin' }

test.each(AXES)('along %s only that changes', (axis) => {
  const all = variants(WANTED, axis)
  expect(all).toHaveLength(axis === 'none' ? 1 : 4)
  for (const { label, ...variant } of all) {
    const changed = axis === 'none' ? {} : { [axis]: variant[axis] }
    expect(variant).toEqual({ ...WANTED, ...changed })
    if (axis !== 'none') expect(label).toBe(String(variant[axis]))
  }
})

test('a curve falls from the top left to the bottom right', () => {
  const points = curve([14.6, 3, 1, 0.2, 0.03])
  expect(points[0]).toEqual({ x: 0, y: 0 })
  expect(points.at(-1)).toEqual({ x: 1, y: 1 })
  expect(points.map(({ y }) => y)).toEqual([...points.map(({ y }) => y)].sort((a, b) => a - b))
  expect(curve([5])).toEqual([{ x: 0, y: 0 }])
})

test('pictures of different lengths are looked at equally far on their ways', () => {
  expect([stepAt(0, 20), stepAt(0.5, 21), stepAt(1, 20), stepAt(1, 1)]).toEqual([0, 10, 19, 0])
})
