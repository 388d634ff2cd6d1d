import { createPinia, setActivePinia } from 'pinia'
import { expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

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
  await nextTick() // what has come since is asked for
  gallery.filters.words = 'whale'
  const second = gallery.search()
  waiting[2]!([])
  await second
  waiting[1]!([{ id: 'b', number: 2 }])
  await new Promise((done) => setTimeout(done))
  expect(gallery.pictures).toEqual([])
  stop()
  get.mockRestore()
})
