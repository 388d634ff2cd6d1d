import { beforeEach, expect, test } from 'vitest'

import { keep, kept, share, shared } from './kept'
import { session } from './who'

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  session.value = null
})

test('what was kept comes back, and what is unknown or of another type does not', () => {
  keep('x', { steps: 30, prompt: 7, list: {}, gone: 1, schedule: 'karras' })
  expect(kept('x', { steps: 20, prompt: '', list: [1], schedule: null })).toEqual({
    steps: 30,
    prompt: '',
    list: [1],
    schedule: 'karras',
  })
})

test.each(['{', 'null', '[1]', '7'])('%s is nothing', (text) => {
  localStorage.setItem('fromnoise.x', text)
  expect(kept('x', { a: 1 })).toEqual({ a: 1 })
})

test('a tab that is loaded again has its own, a new one the newest', () => {
  keep('x', { a: 'of this tab' })
  localStorage.setItem('fromnoise.x', JSON.stringify({ a: 'of another tab' }))
  expect(kept('x', { a: '' })).toEqual({ a: 'of this tab' })
  sessionStorage.clear()
  expect(kept('x', { a: '' })).toEqual({ a: 'of another tab' })
})

test('what another tab adds to a list is in this one, and stays when this one adds to it', () => {
  const list = shared('list', { all: ['a'] })
  localStorage.setItem('fromnoise.list', JSON.stringify({ all: ['b', 'a'] }))
  dispatchEvent(Object.assign(new Event('storage'), { key: 'fromnoise.list' }))
  expect(list.all).toEqual(['b', 'a'])
  list.all = ['c', ...list.all]
  share('list', list)
  expect(shared('list', { all: [] as string[] }).all).toEqual(['c', 'b', 'a'])
})

test('with accounts everybody has their own, but the page looks the same', () => {
  const signIn = (name: string, accounts = true) => (session.value = { name, accounts, role: 'user' } as never)
  signIn('ann')
  keep('x', { prompt: "ann's" })
  share('preferences', { theme: 'dark' })
  signIn('bob')
  expect(kept('x', { prompt: '' })).toEqual({ prompt: '' })
  expect(shared('list', { all: [] })).toEqual({ all: [] })
  expect(shared('preferences', { theme: 'light' })).toEqual({ theme: 'dark' })
  signIn('ann')
  expect(kept('x', { prompt: '' })).toEqual({ prompt: "ann's" })
  signIn('ann', false)
  expect(kept('x', { prompt: '' })).toEqual({ prompt: '' })
})
