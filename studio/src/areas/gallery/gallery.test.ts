import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import { ALL, query, useGallery } from './gallery'

test('what is not said is not asked', () => {
  expect(query({ ...ALL, words: '  ' })).toEqual({ deleted: false })
})

test('filters are what the server calls them', () => {
  expect(query({ ...ALL, words: ' red apple ', model: 'builtin', favourite: true, deleted: true })).toEqual({
    words: 'red apple', model: 'builtin', favourite: true, deleted: true,
  })
})

test('a day is whole', () => {
  const { since, until } = query({ ...ALL, since: '2026-03-01', until: '2026-03-01' })
  expect(Number(until) - Number(since)).toBe(86_400)
})

test('pictures that came for an older search are dropped', async () => {
  setActivePinia(createPinia())
  const waiting: ((pictures: object[]) => void)[] = []
  const get = vi.spyOn(api, 'GET').mockImplementation(((path: string) => {
    if (path !== '/api/v1/gallery') return Promise.resolve({ data: { count: 1 }, response: new Response() })
    return new Promise((done) => waiting.push((pictures) => done({ data: { pictures, before: null }, response: new Response() })))
  }) as never)
  const gallery = useGallery()
  const stop = gallery.follow()
  const first = gallery.search()
  waiting[0]!([{ id: 'a', number: 1 }])
  await first
  useJobs().results.set('job', [])
  await vi.waitFor(() => expect(waiting).toHaveLength(2)) // what has come since is asked for
  gallery.filters.words = 'whale'
  const second = gallery.search()
  waiting[2]!([])
  await second
  waiting[1]!([{ id: 'b', number: 2 }])
  await new Promise((done) => setTimeout(done))
  expect(gallery.pictures).toEqual([])
  await vi.waitFor(() => expect(waiting).toHaveLength(4)) // the search of what was typed, which would count in the next test
  stop()
  get.mockRestore()
})

/** A gallery of `n` pictures, whose server answers `asked` and fails as long as `fails` says so. */
function galleryOf(n: number, fails: () => boolean = () => false) {
  setActivePinia(createPinia())
  const cards = Array.from({ length: n }, (_, i) => ({ id: `p${n - i}`, number: n - i }))
  const sent: string[][] = []
  let pages = 0
  vi.spyOn(api, 'GET').mockImplementation(((path: string, { params }: { params: { query: { before?: number; limit: number } } }) => {
    const answer = (data: unknown, status = 200) => Promise.resolve({ data, error: {}, response: new Response(null, { status }) })
    if (path !== '/api/v1/gallery') return answer({ count: n })
    pages += 1
    if (fails()) return answer(undefined, 503)
    const { before = Infinity, limit } = params.query
    const page = cards.filter((card) => card.number < before).slice(0, limit)
    return answer({ pictures: page, before: page.at(-1)!.number > 1 ? page.at(-1)!.number : null })
  }) as never)
  vi.spyOn(api, 'POST').mockImplementation(((_: string, { body }: { body: { pictures: string[] } }) => {
    sent.push(body.pictures)
    return Promise.resolve({ data: [], response: new Response() })
  }) as never)
  return { gallery: useGallery(), sent, pages: () => pages }
}
afterEach(() => vi.restoreAllMocks())

test('a page that fails is told, asked for no more by itself, and asked for again by a press', async () => {
  let down = false
  const { gallery, pages } = galleryOf(900, () => down)
  await gallery.search()
  down = true
  await gallery.loadMore()
  await gallery.loadMore()
  expect([gallery.problem !== null, pages(), gallery.pictures.length]).toEqual([true, 2, 200])
  down = false
  await gallery.retry()
  await gallery.loadMore()
  expect([gallery.problem, gallery.pictures.length]).toEqual([null, 900])
})

test('a first page that failed does not stay', async () => {
  let down = true
  const { gallery } = galleryOf(3, () => down)
  await gallery.search()
  down = false
  await gallery.retry()
  expect([gallery.problem, gallery.pictures.length, gallery.stale]).toEqual([null, 3, false])
})

test('all that is found can be selected, and is changed in calls of a thousand', async () => {
  const { gallery, sent } = galleryOf(2300)
  await gallery.search()
  const first = gallery.selectAll()
  void gallery.loadMore() // the wall asks, too
  await first
  expect([gallery.selected.size, gallery.allSelected]).toEqual([2300, true])
  await gallery.change([...gallery.selected], { favourite: true })
  expect(sent.map((ids) => ids.length)).toEqual([1000, 1000, 300])
  await gallery.bin([...gallery.selected])
  expect([gallery.count, gallery.pictures.length, gallery.selected.size]).toEqual([0, 0, 0])
})

test('jobs that end together are asked for together', async () => {
  const { gallery, pages } = galleryOf(3)
  await gallery.search()
  vi.useFakeTimers()
  const stop = gallery.follow()
  for (const job of ['a', 'b', 'c']) {
    useJobs().results.set(job, [])
    await vi.advanceTimersByTimeAsync(50)
  }
  await vi.advanceTimersByTimeAsync(1000)
  expect(pages()).toBe(2)
  stop()
  vi.useRealTimers()
})

test('once the server is back, scrolling goes on where an answer failed to come', async () => {
  let down = false
  const { gallery, pages } = galleryOf(900, () => down)
  const jobs = useJobs()
  const stop = gallery.follow()
  await gallery.search()
  down = true
  jobs.linked = false
  await gallery.loadMore()
  down = false
  jobs.linked = true
  await new Promise((done) => setTimeout(done))
  expect([pages(), gallery.problem, gallery.pictures.length]).toEqual([3, null, 700])
  stop()
})

test('coming back finds the place and the selection as they were left, unless the search is another one', async () => {
  const { gallery, pages } = galleryOf(300)
  await gallery.comeBack()
  await gallery.loadMore()
  gallery.selected.add('p7')
  gallery.place.scrolled = 4000
  await gallery.comeBack()
  expect([pages(), gallery.pictures.length, gallery.count, gallery.selected.size, gallery.place.scrolled]).toEqual([3, 300, 300, 1, 4000])
  gallery.filters.deleted = true
  await gallery.comeBack()
  expect([gallery.pictures.length, gallery.selected.size, gallery.place.scrolled]).toEqual([200, 0, 0])
})
