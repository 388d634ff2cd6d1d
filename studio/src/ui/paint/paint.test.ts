import { expect, test } from 'vitest'

import { grown, NOWHERE, onCanvas } from './history'
import { closer, kept, WHOLE } from './view'

test('a stroke leaves a box of whole pixels on the canvas', () => {
  const box = grown(grown(NOWHERE, 10.5, 4, 3), -20, 30, 3)
  expect(onCanvas(box, 64, 32)).toEqual({ x: 0, y: 0, w: 15, h: 32 })
  expect(onCanvas(grown(NOWHERE, -50, -50, 3), 64, 32)).toBeNull()
  expect(onCanvas(NOWHERE, 64, 32)).toBeNull()
})

test('what is under the pointer stays there when one goes closer', () => {
  const view = closer(WHOLE, 2, 100, 50)
  expect(view).toEqual({ scale: 2, x: -100, y: -50 })
  expect(closer(view, 0.5, 10, 10)).toEqual(WHOLE)
  expect(closer(WHOLE, 1000, 0, 0).scale).toBe(16)
})

test('a canvas stays in its frame', () => {
  expect(kept({ scale: 2, x: 30, y: -500 }, 200, 100)).toEqual({ scale: 2, x: 0, y: -100 })
})
