import { expect, test } from 'vitest'

import { lines } from './recipe'

test('what is set is told, what matters first', () => {
  const told = lines({ prompt: 'a', sampler: 'euler', hires: { scale: 2, steps: null }, seed: '18446744073709551615', negative: '', exact: false, tiles: [1, 2] })
  expect(told).toEqual([
    { name: 'Seed', value: '18446744073709551615' },
    { name: 'Sampler', value: 'euler' },
    { name: 'Second pass (hires. fix)', value: 'Upscale by=2' },
    { name: 'Tiled diffusion', value: '1; 2' },
  ])
})

test('no recipe has no lines', () => expect(lines(null)).toEqual([]))
