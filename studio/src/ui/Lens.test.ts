import { mount, type VueWrapper } from '@vue/test-utils'
import { nextTick } from 'vue'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import Lens from './Lens.vue'

beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockReturnValue({ left: 0, top: 0, width: 528, height: 428 } as DOMRect)
  HTMLElement.prototype.setPointerCapture = () => undefined
})
afterEach(() => vi.restoreAllMocks())

/** A picture of that size, in a frame that has room for 500 × 400. */
async function seen(width: number, height: number, props: { everywhere?: boolean; early?: boolean } = {}) {
  const page = mount(Lens, { props: { src: '/a.png', alt: 'a fox', ...props }, attachTo: document.body })
  await become(page, width, height)
  return page
}
async function become(page: VueWrapper, width: number, height: number): Promise<void> {
  const image = page.find('img')
  Object.defineProperties(image.element, { naturalWidth: { value: width, configurable: true }, naturalHeight: { value: height, configurable: true } })
  await image.trigger('load')
}
const scale = (page: VueWrapper) => page.find('.percent').text()
const style = (page: VueWrapper) => (page.find('img').element as HTMLElement).style
const sharp = (page: VueWrapper) => page.find('img').classes('sharp')
async function press(page: VueWrapper, key: string, more: KeyboardEventInit = {}, target: EventTarget = page.element): Promise<KeyboardEvent> {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })
  target.dispatchEvent(event)
  await nextTick()
  return event
}

test('a double click shows the pixels under it one by one, and another all of it', async () => {
  const page = await seen(2000, 1600)
  expect([scale(page), style(page).transform]).toEqual(['25 %', ''])
  await page.find('.frame').trigger('dblclick', { clientX: 264, clientY: 214 }) // its middle
  expect([scale(page), style(page).width, style(page).transform]).toEqual(['100 %', '2000px', 'translate(-736px, -586px)'])
  expect(page.find('img').attributes('draggable')).toBe('false')
  await page.find('.frame').trigger('dblclick')
  expect([scale(page), style(page).transform, page.find('img').attributes('draggable')]).toEqual(['25 %', '', 'true'])
  page.unmount()
})

test('a small picture lies in the middle at 1:1, and shows its pixels when one goes closer', async () => {
  const page = await seen(100, 100)
  expect([scale(page), sharp(page)]).toEqual(['400 %', false]) // all of it is smooth
  await press(page, '1')
  expect([scale(page), style(page).transform, sharp(page)]).toEqual(['100 %', 'translate(214px, 164px)', false])
  for (let i = 0; i < 4; i++) await press(page, '+')
  expect([scale(page), sharp(page)]).toEqual(['244 %', true])
  page.unmount()
})

test('on the way closer one stops at 1:1, and is never farther than all of it', async () => {
  const page = await seen(550, 440)
  expect(scale(page)).toBe('91 %')
  await press(page, '+')
  expect(scale(page)).toBe('100 %')
  await press(page, '=')
  expect(scale(page)).toBe('125 %')
  for (let i = 0; i < 40; i++) await press(page, '+')
  expect(scale(page)).toBe('1600 %')
  for (let i = 0; i < 40; i++) await press(page, '-')
  expect([scale(page), style(page).transform]).toEqual(['91 %', ''])
  page.unmount()
})

test('the wheel goes closer to what is under it; dragging moves it, never out of sight', async () => {
  const page = await seen(1000, 800)
  await page.find('.frame').trigger('wheel', { deltaY: -100, clientX: 14, clientY: 14 }) // its corner stays where it is
  const now = scale(page)
  expect(Number.parseInt(now)).toBeGreaterThan(50)
  expect(style(page).transform).toBe('translate(0px, 0px)') // of what is larger than the frame no rim is left
  await press(page, '1')
  await page.find('.frame').trigger('pointerdown', { button: 0, pointerId: 1, clientX: 200, clientY: 200 })
  await page.find('.frame').trigger('pointermove', { pointerId: 1, clientX: 100, clientY: 150 })
  const { transform } = style(page)
  await page.find('.frame').trigger('pointermove', { pointerId: 1, clientX: 99, clientY: 150 })
  expect(style(page).transform).not.toBe(transform)
  await page.find('.frame').trigger('pointermove', { pointerId: 1, clientX: -4000, clientY: -4000 })
  expect(style(page).transform).toBe('translate(-472px, -372px)')
  await page.find('.frame').trigger('pointerup', { pointerId: 1 })
  await page.find('.frame').trigger('pointermove', { pointerId: 1, clientX: 0, clientY: 0 })
  expect(style(page).transform).toBe('translate(-472px, -372px)')
  page.unmount()
})

test('two fingers go closer', async () => {
  const page = await seen(1000, 800)
  const finger = (pointerId: number, clientX: number) => ({ button: 0, pointerType: 'touch', pointerId, clientX, clientY: 200 })
  await page.find('.frame').trigger('pointerdown', finger(1, 200))
  await page.find('.frame').trigger('pointerdown', finger(2, 300))
  await page.find('.frame').trigger('pointermove', finger(2, 400))
  expect(scale(page)).toBe('100 %')
  page.unmount()
})

test('its keys leave alone what is typed, and the arrows without Shift', async () => {
  const page = await seen(2000, 1600, { everywhere: true })
  const field = document.body.appendChild(document.createElement('input'))
  expect((await press(page, '1', {}, field)).defaultPrevented).toBe(false)
  expect((await press(page, '+', { ctrlKey: true }, window)).defaultPrevented).toBe(false) // the browser's own
  expect((await press(page, 'ArrowLeft', { shiftKey: true }, window)).defaultPrevented).toBe(false) // nothing to move
  expect(scale(page)).toBe('25 %')
  expect((await press(page, '1', {}, window)).defaultPrevented).toBe(true)
  expect((await press(page, 'ArrowLeft', {}, window)).defaultPrevented).toBe(false)
  expect((await press(page, 'ArrowRight', { shiftKey: true }, window)).defaultPrevented).toBe(true)
  expect(style(page).transform).toBe('translate(-816px, -586px)')
  field.remove()
  page.unmount()
  expect((await press(page, '1', {}, window)).defaultPrevented).toBe(false)
})

test('the next picture of the same size is seen at the same place', async () => {
  const page = await seen(2000, 1600)
  await press(page, '1')
  const { transform } = style(page)
  await page.setProps({ src: '/b.png' })
  await become(page, 2000, 1600)
  expect(style(page).transform).toBe(transform)
  await become(page, 1000, 800)
  expect(scale(page)).toBe('50 %')
  page.unmount()
})

test('a click is told while all of it is seen, and of a preview nothing is seen closer', async () => {
  vi.useFakeTimers()
  const page = await seen(2000, 1600)
  const [image, frame] = [page.find('img'), page.find('.frame')]
  for (const one of [1, 2]) await image.trigger('click', { detail: one })
  await frame.trigger('dblclick')
  await image.trigger('click', { detail: 1 })
  vi.advanceTimersByTime(1000)
  expect([scale(page), page.emitted('press')]).toEqual(['100 %', undefined])
  await press(page, '0')
  await image.trigger('click', { detail: 1 })
  vi.advanceTimersByTime(1000)
  expect(page.emitted('press')).toHaveLength(1)
  page.unmount()
  const preview = await seen(64, 64, { early: true })
  await preview.find('.frame').trigger('dblclick')
  await preview.find('img').trigger('click')
  vi.advanceTimersByTime(1000)
  vi.useRealTimers()
  expect([preview.find('img').classes(), preview.findAll('button').length, style(preview).transform, preview.emitted('press')]).toEqual([['early'], 0, '', undefined])
  preview.unmount()
})

test('a picture that comes when one has gone on is let be', async () => {
  const page = await seen(2000, 1600)
  const image = page.find('img').element
  page.unmount()
  expect(() => image.dispatchEvent(new Event('load'))).not.toThrow()
})
