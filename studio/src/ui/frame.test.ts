import { expect, test } from 'vitest'

import { type Handle, margins, nudged, pulled } from './frame'

const room = { x: 0, y: 0, width: 1, height: 1 }
const rect = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 }

test.each<[Handle, number, number, number[]]>([
  ['move', 0.5, -0.5, [0.5, 0, 0.5, 0.5]],
  ['se', 0.125, 0.5, [0.25, 0.25, 0.625, 0.75]],
  ['nw', 1, 0.125, [0.625, 0.375, 0.125, 0.375]],
  ['e', -1, 9, [0.25, 0.25, 0.125, 0.5]],
])('%s by (%s, %s)', (handle, dx, dy, expected) => {
  expect(Object.values(pulled(rect, handle, dx, dy, room, 0.125))).toEqual(expected)
})

test('arrow keys move, and with Shift make larger', () => {
  const key = (name: string, shiftKey = false) => nudged({ key: name, shiftKey } as KeyboardEvent, rect, 0.25, room, 0.125)
  expect(key('ArrowLeft')).toEqual({ ...rect, x: 0 })
  expect(key('ArrowDown', true)).toEqual({ ...rect, height: 0.75 })
  expect(key('Enter')).toBeNull()
})

test('a frame around a picture has margins', () => {
  expect(margins({ x: -16, y: 0, width: 128 + 16 + 64, height: 128 }, 128, 128)).toEqual({ left: 16, top: 0, right: 64, bottom: 0 })
})
