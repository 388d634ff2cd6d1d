import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { t } from '@/text/forms'

import Painter from './Painter.vue'

const SIZE = 4
let lines: number // that were drawn
let fills: number
let put: Uint8ClampedArray | null // the pixels that became a picture

beforeEach(() => {
  lines = fills = 0
  put = null
  const nothing = () => undefined
  const context = {
    canvas: { width: SIZE, height: SIZE },
    drawImage: nothing, beginPath: nothing, moveTo: nothing, lineTo: nothing, closePath: nothing, fillRect: nothing, clearRect: nothing,
    stroke: () => void lines++,
    fill: () => void fills++,
    getImageData: () => ({ data: new Uint8ClampedArray(SIZE * SIZE * 4).fill(255) }),
    putImageData: ({ data }: { data: Uint8ClampedArray }) => void (put = data),
  } // prettier-ignore
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never)
  vi.spyOn(HTMLCanvasElement.prototype, 'toBlob').mockImplementation((take) => take(new Blob(['x'])))
  vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockReturnValue({ left: 0, top: 0, width: SIZE, height: SIZE } as DOMRect)
  HTMLCanvasElement.prototype.setPointerCapture = nothing as never
})
afterEach(() => vi.restoreAllMocks())

async function opened(kind: 'mask' | 'sketch' = 'mask', through = 0) {
  const page = mount(Painter, { props: { picture: null, width: SIZE, height: SIZE, kind, through }, attachTo: document.body })
  await flushPromises()
  const canvas = page.find('canvas')
  const at = (name: string, more: object = {}) => canvas.trigger(name, { button: 0, buttons: 1, pointerId: 1, pointerType: 'mouse', clientX: 1, clientY: 1, movementX: 1, movementY: 1, ...more })
  const undoes = () => page.find(`button[aria-label="${t('paint.undo')}"]`).attributes('disabled') === undefined
  const tool = () => canvas.classes().filter((name) => name !== kind)
  const key = (name: 'keydown' | 'keyup', pressed: string, more: object = {}) => canvas.trigger(name, { key: pressed, ...more })
  return { page, at, key, undoes, tool }
}

test.each(['l', 'e', 'f', ' ', 'b'])('a key in the middle of a stroke leaves the stroke as it is: %j', async (pressed) => {
  const { at, key, undoes, tool } = await opened()
  await at('pointerdown')
  await key('keydown', pressed)
  await at('pointermove')
  expect([lines, fills, tool()]).toEqual([2, 0, ['brush']])
  await at('pointerup')
  expect(undoes()).toBe(true)
  const next = { l: 'lasso', e: 'eraser', f: 'pan', ' ': 'pan', b: 'brush' }[pressed]
  expect(tool()).toEqual([next]) // from the next stroke on
})

test('a key that is let go while one moves the canvas paints nothing that could not be taken back', async () => {
  const { at, key, undoes } = await opened()
  await key('keydown', 'f')
  await at('pointerdown')
  await key('keyup', 'f')
  await at('pointermove')
  await at('pointerup')
  expect([lines, undoes()]).toEqual([0, false])
})

test('Ctrl+Z takes back strokes that are finished, not the one under way', async () => {
  const { page, at, key, undoes } = await opened()
  await at('pointerdown')
  await at('pointerup')
  await at('pointerdown')
  await key('keydown', 'z', { ctrlKey: true })
  await page.find(`button[aria-label="${t('paint.clear')}"]`).trigger('click')
  await at('pointerup')
  for (const left of [true, false]) {
    await key('keydown', 'z', { ctrlKey: true })
    expect(undoes()).toBe(left)
  }
})

test.each([
  [0, 255],
  [0.25, 191],
  [1, 0],
])('of a sketch that is the mask, too, the mask is as transparent as the colours: %f', async (through, grey) => {
  const { page } = await opened('sketch', through)
  await (page.vm as unknown as { mask: () => Promise<Blob | null> }).mask()
  expect([...put!.slice(0, 4)]).toEqual([grey, grey, grey, 255])
})
