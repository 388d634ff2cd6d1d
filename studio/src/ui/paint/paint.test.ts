import { expect, test } from 'vitest'

import { Fingers } from './fingers'
import { grown, NOWHERE, onCanvas } from './history'
import { closer, kept, scaled, WHOLE } from './view'

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

test('what is smaller than its frame lies in the middle, what is larger fills it', () => {
  expect(kept({ scale: 2, x: -7, y: 90 }, 200, 100, 50, 80)).toEqual({ scale: 2, x: 50, y: 0 })
  expect(scaled({ scale: 2, x: 50, y: 0 }, 1, 100, 40)).toEqual({ scale: 1, x: 75, y: 20 })
})

test('two fingers move what is under them, and go closer by how far they part', () => {
  const fingers = new Fingers()
  const finger = (pointerId: number, clientX: number, clientY: number, pointerType = 'touch') => ({ pointerId, clientX, clientY, pointerType })
  fingers.down(finger(9, 0, 0, 'mouse'))
  fingers.down(finger(1, 0, 0))
  expect([fingers.several, fingers.move(finger(9, 5, 5, 'mouse')), fingers.move(finger(1, 10, 10))]).toEqual([false, null, null])
  fingers.down(finger(2, 20, 10))
  expect(fingers.move(finger(2, 30, 10))).toEqual({ dx: 5, dy: 0, factor: 2, x: 20, y: 10 })
  fingers.up(finger(1, 10, 10))
  expect(fingers.move(finger(2, 90, 10))).toBeNull()
})
