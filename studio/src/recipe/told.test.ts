import { afterEach, expect, test } from 'vitest'

import { preferences } from '@/stores/preferences'
import { BETWEEN } from '@/text/words'

import { lines } from './told'

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

afterEach(() => {
  preferences.language = 'en'
})

test('texts are called as the page calls them, in two languages apart', () => {
  preferences.language = 'both'
  const said = (path: string, value: string) => (path === 'hires.model' ? `${value}${BETWEEN}字` : value.toUpperCase())
  expect(lines({ sampler: 'euler', hires: { scale: 2, model: 'a' } }, said)).toEqual([
    { name: `Sampler${BETWEEN}采样器`, value: 'EULER' },
    { name: `Second pass (hires. fix)${BETWEEN}高清修复（Hires. fix）`, value: `Upscale by=2, Checkpoint of the second pass=a${BETWEEN}放大倍数=2, 高清修复所用模型=字` },
  ])
})
