import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import * as client from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'

import { useDraft } from './draft'

const card = (name: string, family: string) => ({ kind: 'checkpoints', name, family, prediction: 'eps', trigger_words: [] })
const MODELS = [{ kind: 'checkpoints', name: 'builtin' }, card('small', 'sd1'), card('other', 'sd1'), card('large', 'sdxl')]

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  useCatalogue().models = MODELS as never
  vi.spyOn(useCatalogue(), 'load').mockResolvedValue()
})
afterEach(() => vi.restoreAllMocks())

const sizeOf = ({ draft }: ReturnType<typeof useDraft>) => [draft.recipe.width, draft.recipe.height, draft.recipe.guidance_scale]

test('another model of the same kind changes neither size nor guidance', () => {
  const store = useDraft()
  store.choose('small')
  expect(sizeOf(store)).toEqual([512, 512, 7])
  Object.assign(store.draft.recipe, { width: 768, height: 512, guidance_scale: 5 })
  store.choose('other')
  expect(sizeOf(store)).toEqual([768, 512, 5])
  store.choose('large')
  expect(sizeOf(store)).toEqual([1280, 832, 5])
})

test('a start picture keeps its proportions, with its margins, when the model changes', async () => {
  const store = useDraft()
  await store.begin({ sha256: 'a', width: 400, height: 200 })
  store.choose('large')
  expect(sizeOf(store)).toEqual([1448, 728, 7])
  store.outpaint({ left: 0, top: 0, right: 400, bottom: 0 })
  store.choose('small')
  expect(sizeOf(store)).toEqual([1448, 360, 7])
})

test('the result is so many times as large as the start picture with its margins', async () => {
  const store = useDraft()
  await store.begin({ sha256: 'a', width: 400, height: 200 })
  store.outpaint({ left: 0, top: 0, right: 400, bottom: 0 })
  store.scale = 1.5
  expect(sizeOf(store).slice(0, 2)).toEqual([1200, 304])
  expect(store.scale).toBe(1.5)
})

test('the size of a start picture waits for the model to be known', async () => {
  const catalogue = useCatalogue()
  catalogue.models = []
  vi.spyOn(catalogue, 'load').mockImplementation(async () => void (catalogue.models = MODELS as never))
  const store = useDraft()
  store.draft.recipe.model = 'large'
  await store.begin({ sha256: 'a', width: 300, height: 300 })
  expect(sizeOf(store).slice(0, 2)).toEqual([1024, 1024])
})

test('a recipe comes with its start picture and its mask', async () => {
  const store = useDraft()
  const sizes = vi.spyOn(client.api, 'GET')
  vi.stubGlobal('fetch', (request: Request) => Promise.resolve(new Response(request.url.endsWith('/gone') ? '{"error":"missing","message":"it is gone"}' : 'x', { status: request.url.endsWith('/gone') ? 404 : 200 })))
  vi.stubGlobal('createImageBitmap', () => Promise.resolve({ width: 96, height: 64 }))
  vi.stubGlobal('Request', class { constructor(readonly url: string) {} })
  const recipe = { prompt: 'a fox', width: 192, height: 128, strength: 0.4, init: { path: '', sha256: 'start' }, mask: { path: '', sha256: 'mask' } }
  await store.takeRecipe(recipe)
  expect(store.draft).toMatchObject({ start: { sha256: 'start', width: 96, height: 64 }, mask: { sha256: 'mask' } })
  expect(store.recipes()[0]).toMatchObject({ strength: 0.4, width: 192, init: { sha256: 'start' }, mask: { sha256: 'mask' } })
  await store.takeRecipe({ ...recipe, init: { path: '/pictures/photo.jpg', sha256: 'gone' } })
  expect(store.draft).toMatchObject({ start: null, mask: { sha256: 'mask' }, lost: [{ what: 'start', name: 'photo.jpg' }] })
  store.found('start', { sha256: 'photo', width: 96, height: 64 })
  expect(store.draft.lost).toEqual([])
  expect(store.recipes()[0]).toMatchObject({ strength: 0.4, width: 192, init: { sha256: 'photo' }, mask: { sha256: 'mask' } })
  await store.takeRecipe({ ...recipe, mask: { path: `${'0'.repeat(64)}.png`, sha256: 'gone' } })
  expect(store.draft).toMatchObject({ start: { sha256: 'start' }, mask: null, lost: [{ what: 'mask', name: '' }] })
  expect(sizes).not.toHaveBeenCalled()
  vi.unstubAllGlobals()
})

test.each([
  [{ init: { path: 'D:\\photos\\fox.png', sha256: null } }, [{ what: 'start', name: 'fox.png' }]],
  [{ strength: 0.6 }, [{ what: 'start', name: '' }]], // as AUTOMATIC1111 writes it: the strength alone
  [{ strength: 1 }, []],
  [{ hires: { scale: 2, strength: 0.5 } }, []],
])('a recipe whose start picture nobody can find does not silently become one of words alone: %j', async (more, lost) => {
  const store = useDraft()
  await store.takeRecipe({ prompt: 'a fox', width: 64, height: 64, ...more })
  expect(store.draft.lost).toEqual(lost)
  await store.begin({ sha256: 'a', width: 64, height: 64 })
  expect(store.draft.lost).toEqual([])
})

test('what was painted and what was written can be brought back', async () => {
  const store = useDraft()
  const picture = { sha256: 'a', width: 400, height: 200 }
  await store.begin(picture)
  expect(store.before).toBeNull() // nothing was lost
  const mask = { sha256: 'm', width: 400, height: 200 }
  for (const lose of [store.unmask, () => store.alsoFrom({ ...picture, sha256: 'b' }), () => store.begin(null)]) {
    store.draft.mask = mask
    await lose()
    expect(store.draft.mask).toBeNull()
    store.restore()
    expect(store.draft).toMatchObject({ start: picture, mask, more: [] })
  }
  store.draft.recipe.prompt = 'a long prompt'
  store.say({ prompt: 'another', negative: 'rain' })
  store.restore()
  expect(store.draft.recipe).toMatchObject({ prompt: 'a long prompt', negative: '' })
})
