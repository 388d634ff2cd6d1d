import { expect, test } from 'vitest'

import { asked } from './asked'

const init = { path: '', sha256: 'a' }

test('what is put aside stays on the page', () => {
  const controls = [{ image: init, off: true }, { image: init, off: false, weight: 1 }]
  const regional = { base: 0.2, regions: [{ prompt: 'a fox', off: true }] }
  expect(asked({ prompt: 'a cat', controls, regional, gligen: 'boxes', boxes: [{ off: true }] })).toEqual({
    prompt: 'a cat', controls: [{ image: init, weight: 1 }], regional: { base: 0.2, regions: [] }, boxes: [],
  })
})

test('what changes a start picture needs one, and a second pass needs none', () => {
  const fields = { prompt: 'a cat', mask: init, inpaint: { blur: 4 }, outpaint: { left: 8 }, hires: { scale: 2 } }
  expect(asked(fields)).toEqual({ prompt: 'a cat', hires: { scale: 2 } })
  expect(asked({ ...fields, init })).toEqual({ prompt: 'a cat', init, mask: init, inpaint: { blur: 4 }, outpaint: { left: 8 }, strength: 0.75 })
})

test('fields of an older page are left out', () => {
  expect(asked({ prompt: 'a cat', gone: 1 }, { prompt: {} })).toEqual({ prompt: 'a cat' })
})
