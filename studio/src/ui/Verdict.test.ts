import { mount } from '@vue/test-utils'
import { afterEach, expect, test } from 'vitest'

import { preferences } from '@/stores/preferences'

import Verdict, { type Told } from './Verdict.vue'

afterEach(() => (preferences.language = 'en'))

test('files that are missing are told by the names of their fields', () => {
  const missing = [
    { field: 'init', sha256: 'a'.repeat(64), reason: 'gone' },
    { field: 'controls.0.image', sha256: '', reason: 'gone' },
  ]
  const told = { verdict: 'not checked', reason: '', lossy: '', psnr: null, largest: null, mean: null, changed: 0, rounded: 0, model_matches: null, missing, warnings: [], made_by: '' } as Told
  const lines = () => mount(Verdict, { props: { told } }).findAll('li').map((one) => one.text())
  expect(lines()[0]).toBe('Start picture: gone aaaaaaaaaaaa')
  expect(lines()[1]).toMatch(/^ControlNet 1, [A-Z]\w*( \w+)*: gone$/)
  preferences.language = 'zh'
  expect(lines()[0]).toMatch(/^起始图片: gone/)
  expect(lines()[1]).toMatch(/^ControlNet 1[^a-z.]*[\u4e00-\u9fff]/)
})
