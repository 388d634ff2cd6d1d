import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api, Problem } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'

import { matched, patiently, saying, sourcesIn, sourcesOf, takeAll } from './batch'
import { useDraft } from './draft'
import { takeMasks, takePictures, taking } from './taking'

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  useCatalogue().models = [{ kind: 'checkpoints', name: 'builtin' }] as never
  vi.spyOn(useCatalogue(), 'load').mockResolvedValue()
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const named = (...names: string[]) => names.map((name) => ({ name }))
const masksOf = (pictures: string[], masks: string[]) => {
  const { of, lone } = matched(named(...pictures), named(...masks))
  return [of.map((one) => one?.name), lone.map((one) => one.name)]
}

test('masks belong to pictures of their name, whatever the ending and the folder', () => {
  expect(masksOf(['a.jpg', 'B.png', 'c.d.webp'], ['b.PNG', 'c.d.png', 'a.png', 'e.png'])).toEqual([['a.png', 'b.PNG', 'c.d.png'], ['e.png']])
  expect(masksOf(['day/a.png', 'night/a.png'], ['night/a.png', 'day/a.png'])).toEqual([['day/a.png', 'night/a.png'], []])
  expect(masksOf(['day\\a.png', 'b.png'], ['a.png', 'x.png'])).toEqual([['a.png', undefined], ['x.png']])
  expect(masksOf(['a.png', 'b.png'], ['whatever.png'])).toEqual([['whatever.png', 'whatever.png'], []])
  expect(masksOf(['a.png'], [])).toEqual([[undefined], []])
})

test('of a folder the pictures are taken, in the order of their numbers, and what is none is named', () => {
  const file = (path: string, type: string) => Object.assign(new File(['x'], path.split('/').pop()!, { type }), { webkitRelativePath: path })
  const files = [file('photos/10.png', 'image/png'), file('photos/2.png', 'image/png'), file('photos/more/1.jpg', 'image/jpeg'), file('photos/notes.txt', 'text/plain'), file('photos/.DS_Store', '')]
  const { pictures, others } = sourcesOf(files)
  expect(pictures.map((one) => one.name)).toEqual(['2.png', '10.png', 'more/1.jpg'])
  expect(others).toEqual(['notes.txt'])
})

test('a folder of the server is looked into, and its pictures are taken by their names', async () => {
  const post = vi.spyOn(api, 'POST').mockResolvedValue({ data: { pictures: ['a.png'], more: 0, others: ['b.txt'] }, response: new Response() } as never)
  const { pictures, others } = await sourcesIn('/photos')
  expect([pictures.map((one) => one.name), others]).toEqual([['a.png'], ['b.txt']])
  await pictures[0]!.take()
  expect(post).toHaveBeenLastCalledWith('/api/v1/folder/read', { body: { folder: '/photos', name: 'a.png' } })
})

test('what fails is told by name and the others are taken; one waits as long as the server asks', async () => {
  vi.useFakeTimers()
  const ask = vi.fn().mockRejectedValueOnce(new Problem('rate', 'too many', 429, null, 2)).mockResolvedValue({ sha256: 'b', width: 8, height: 4, recipe: { prompt: 'a fox', seed: 7, steps: 9, width: 8 } })
  const sources = [
    { name: 'a.png', take: () => Promise.reject(new Problem('picture', 'it is broken', 422)) },
    { name: 'b.png', take: ask },
    { name: 'c.png', take: ask },
  ]
  const taken: unknown[] = []
  const told = takeAll(sources, async (done, picture) => {
    taken.push([done, picture?.name])
    return done < 2
  })
  await vi.advanceTimersByTimeAsync(2000)
  expect(await told).toEqual(['a.png: it is broken'])
  expect(taken).toEqual([[1, undefined], [2, 'b.png']])
  expect(ask).toHaveBeenCalledTimes(2)
  await expect(patiently(() => Promise.reject(new Problem('quota', 'for today', 429, null, 3600)))).rejects.toThrow('for today')
})

test('a picture says for itself what is wanted, and its prompt follows', () => {
  const recipe = { prompt: 'oil painting', negative: '', seed: 1, steps: 20 }
  const said = { prompt: 'a fox', negative: 'blur', seed: '7', steps: 9 }
  expect(saying(recipe, said, ['prompt', 'negative', 'seed'], (own) => Number(own) + 2)).toEqual({ prompt: 'oil painting, a fox', negative: 'blur', seed: 9, steps: 20 })
  expect(saying(recipe, said, [], Number)).toEqual(recipe)
  expect(saying(recipe, undefined, ['seed'], Number)).toEqual(recipe)
})

const source = (name: string, width = 64, height = 64, recipe: object | null = null) => ({ name, take: () => Promise.resolve({ sha256: `sha of ${name}`, width, height, recipe } as never) })
const initOf = (one: unknown) => (one as { init: { sha256: string } }).init.sha256
const maskOf = (one: unknown) => (one as { mask?: { sha256: string } }).mask?.sha256

test('pictures with masks of their names are ordered, one job each, and those without are left out', async () => {
  const store = useDraft()
  await takePictures({ pictures: [source('a.jpg'), source('b.jpg'), source('c.jpg')], others: ['notes.txt'] })
  expect(taking.told).toEqual(['Passed over, as it is no PNG, JPEG or WebP picture: notes.txt'])
  await takeMasks({ pictures: [source('mask/c.png'), source('mask/a.png'), source('mask/x.png')], others: [] })
  expect(store.recipes().map((one) => [initOf(one), maskOf(one)])).toEqual([
    ['sha of a.jpg', 'sha of mask/a.png'],
    ['sha of c.jpg', 'sha of mask/c.png'],
  ])
  expect(store.recipes()[0]!.inpaint).toMatchObject({ blur: 4 })
  await takeMasks({ pictures: [source('all.png')], others: [] })
  expect(store.recipes().map(maskOf)).toEqual(Array(3).fill('sha of all.png'))
  await takeMasks({ pictures: [source('y.png'), source('z.png')], others: [] })
  expect(() => store.recipes()).toThrow('No picture has a mask of its name')
  store.draft.masks = []
  expect(store.recipes().map(maskOf)).toEqual([undefined, undefined, undefined])
})

test('further pictures are as large as is chosen: as many pixels, their own size so many times, or all alike', async () => {
  const store = useDraft()
  await takePictures({ pictures: [source('a', 400, 200), source('b', 100, 400)], others: [] })
  const sizes = () => store.recipes().map(({ width, height }) => [width, height])
  Object.assign(store.draft.recipe, { width: 800, height: 400 })
  expect(sizes()).toEqual([[800, 400], [280, 1128]])
  store.scale = 1
  expect(sizes()).toEqual([[400, 200], [104, 400]])
  store.draft.sizes = 'same'
  expect(sizes()).toEqual([[400, 200], [400, 200]])
})

test('each picture of a batch is drawn as its own recipe says, where that is wanted', async () => {
  const store = useDraft()
  store.draft.seed = '3'
  await takePictures({ pictures: [source('a', 64, 64, { prompt: 'a fox', seed: '18446744073709551615' }), source('b')], others: [] })
  store.draft.said = ['prompt', 'seed']
  store.draft.count = 2
  store.draft.recipe.prompt = 'ink'
  expect(store.recipes().map(({ prompt, seed }) => [prompt, seed])).toEqual([['ink, a fox', '18446744073709551615'], ['ink, a fox', 0], ['ink', 3], ['ink', 4]])
})

test('more than one call takes is ordered in parts of one group; what is in the queue when one fails is told', async () => {
  const store = useDraft()
  const sent: { recipes: unknown[]; key: string; group: string; folder: string }[] = []
  let room = 3
  vi.spyOn(api, 'POST').mockImplementation(((_: string, { body }: { body: (typeof sent)[number] }) => {
    sent.push(body)
    const fits = room-- > 0
    return Promise.resolve(fits ? { data: [], response: new Response() } : { error: { error: 'queue-full', message: 'too many wait' }, response: new Response(null, { status: 429 }) })
  }) as never)
  store.draft.folder = 'photos'
  await takePictures({ pictures: Array.from({ length: 205 }, (_, i) => source(String(i))), others: [] })
  await store.submit()
  expect(sent.map((one) => one.recipes.length)).toEqual([100, 100, 5])
  expect(new Set(sent.map((one) => one.key)).size).toBe(3)
  expect(new Set(sent.map((one) => `${one.group} ${one.folder}`))).toEqual(new Set([`${sent[0]!.key} photos`]))
  room = 1
  await expect(store.submit()).rejects.toThrow('100 of 205 pictures are in the queue, the others are not. too many wait')
})
