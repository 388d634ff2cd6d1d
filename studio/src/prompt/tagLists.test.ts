import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { preferences } from '@/stores/preferences'

import PromptBox from './PromptBox.vue'
import { choice, lists, loadLists, stillFitting, tagsFor, written } from './tagLists'

const tag = (name: string, more: object = {}) => ({ name, category: 'general', count: 0, note: '', alias: '', meaning: '', ...more })
const LISTS = [
  { name: 'danbooru', tags: 9, usual: true, translation: false, remarks: [] },
  { name: 'e621', tags: 9, usual: false, translation: false, remarks: [] },
  { name: 'zh', tags: 9, usual: false, translation: true, remarks: [] },
]
let asked: Record<string, unknown>[] = []

/** A server with these lists, which finds these tags for whatever words. */
function serve(found: object[], typed?: string, there: object[] = LISTS): void {
  const get = (path: string, { params }: { params?: { query: Record<string, string> } } = {}) => {
    if (path === '/api/v1/tags') return Promise.resolve({ data: there, response: new Response() })
    asked.push(params!.query)
    return Promise.resolve({ data: { typed: typed ?? params!.query.words, tags: found }, response: new Response() })
  }
  vi.spyOn(api, 'GET').mockImplementation(get as never)
}

beforeEach(() => {
  asked = []
  Object.assign(choice, { on: true, list: '' })
  lists.value = []
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
  preferences.language = 'en'
})

test.each([
  ['long_hair', 'native', 'long hair'],
  ['fate_(series)', 'native', String.raw`fate \(series\)`],
  ['fate_(series)', 'a1111', String.raw`fate \(series\)`],
  ['fate_(series)', 'comfyui', String.raw`fate \(series\)`],
  ['fate_(series)', 'diffusers', 'fate (series)'], // whose prompts have no weights
  ['aa_[bb]', 'native', String.raw`aa \[bb\]`],
  ['aa_[bb]', 'comfyui', 'aa [bb]'],
  ['yuzu_(#compass)', 'native', String.raw`yuzu \(\#compass\)`],
  ['>_<', 'native', '>_<'],
  ['(o)_(o)', 'a1111', String.raw`\(o\)_\(o\)`],
])('%s in the language of %s is %s', (name, profile, prompt) => {
  expect(written(name, profile)).toBe(prompt)
})

test.each([
  ['a cat, long_h', 'long_h', 'long_h'],
  ['a cat\nlong h', 'long h', 'long h'],
  ['(long h', 'long h', 'long h'],
  [String.raw`saber \(fa`, 'saber (fa', String.raw`saber \(fa`],
  ['红色，长', '长', '长'],
])('of %s the words %s are asked for', async (before, words, typed) => {
  serve([tag('saber_(fate)')])
  await loadLists()
  const [found] = await tagsFor(before, 'native')
  expect(asked).toEqual([{ words, of: '', limit: 8 }])
  expect(before.slice(before.length - found!.typed)).toBe(typed)
})

test('where only the last words are a tag, only they are replaced', async () => {
  serve([tag('long_hair', { alias: 'longhair' })], 'lo (')
  await loadLists()
  const [found] = await tagsFor(String.raw`a girl with lo \(`, 'native')
  expect(found).toMatchObject({ insert: 'long hair', label: 'longhair → long hair', typed: 5 })
})

test('what is written already is not offered', async () => {
  serve([tag('red'), tag('red_hair')])
  await loadLists()
  expect((await tagsFor('red', 'native')).map((one) => one.insert)).toEqual(['red hair'])
})

test.each([
  [{ on: true, list: 'e621' }, LISTS, 'e621'],
  [{ on: true, list: 'gone' }, LISTS, ''],
  [{ on: true, list: 'zh' }, LISTS, ''],
  [{ on: false, list: 'e621' }, LISTS, undefined],
  [{ on: true, list: '' }, [], undefined],
  [{ on: true, list: '' }, [LISTS[2]!], undefined],
])('with the choice %j one of the lists is asked, or none', async (chosen, there, of) => {
  serve([tag('red_hair')], undefined, there)
  await loadLists()
  Object.assign(choice, chosen)
  await tagsFor('red', 'native')
  expect(asked.map((one) => one.of)).toEqual(of === undefined ? [] : [of])
})

test('while one types on, what still fits stays', () => {
  const offers = [tag('long_hair', { meaning: '长发' }), tag('low_key')].map((one) => ({ insert: '', label: one.name.replace('_', ' '), about: '', typed: 2, tag: one as never }))
  const local = { insert: 'lofi', label: 'lofi', about: '', typed: 2 }
  expect(stillFitting([local, ...offers], 'a, lo', 'a, lon')).toEqual([{ ...offers[0], typed: 3 }])
  expect(stillFitting(offers, 'a, lo', 'a, lo,')).toEqual([])
  expect(stillFitting(offers, 'a, lo', 'a, l')).toEqual([])
  expect(stillFitting(offers, 'a, lo', 'b')).toEqual([])
})

const STRANGE = '<img src=x onerror="document.title=1">'

async function typed(text: string, words: { insert: string; label: string; about: string }[] = []) {
  vi.useFakeTimers()
  const box = mount(PromptBox, {
    props: { modelValue: '', label: 'Prompt', profile: 'native', sources: { networks: [], words, wildcards: [] } },
    attachTo: document.body,
  })
  const area = box.find('textarea')
  await area.trigger('focus')
  await area.setValue(text)
  await vi.advanceTimersByTimeAsync(150)
  await flushPromises()
  return box
}

test('tags come below a few words of the page, with what they are', async () => {
  vi.spyOn(api, 'POST').mockRejectedValue(new Error('none'))
  serve([tag('hatsune_miku', { category: 'character', count: 106634, meaning: '初音未来' }), tag('hat', { note: 'Custom' })])
  const words = ['hat', 'hatch', 'hatbox', 'hatpin', 'hatful'].map((one) => ({ insert: one, label: one, about: 'word' }))
  const box = await typed('ha', words)
  const shown = box.findAll('[role=option]').map((one) => one.findAll('span').map((part) => part.text()))
  expect(shown.map((parts) => parts[0])).toEqual(['hatch', 'hatbox', 'hatpin', 'hatsune miku', 'hat'])
  expect(box.findAll('[role=option]')[3]!.text()).toMatch(/初音未来\s*character\s*107K/)
  expect(box.find('.character').text()).toBe('hatsune miku')
  expect(box.findAll('[role=option]')[4]!.text()).toContain('Custom')
  box.unmount()
})

test('after a comma nothing is asked for, nor in a network', async () => {
  vi.spyOn(api, 'POST').mockRejectedValue(new Error('none'))
  serve([tag('red_hair')])
  for (const text of ['red,', 'red, ', '<lora:re', '__re', '']) (await typed(text)).unmount()
  expect(asked).toEqual([])
})

test('names of tags are text', async () => {
  vi.spyOn(api, 'POST').mockRejectedValue(new Error('none'))
  serve([tag(STRANGE, { meaning: STRANGE, note: STRANGE, alias: STRANGE })])
  const box = await typed('img')
  expect(box.find('[role=option]').text()).toContain(STRANGE)
  expect(box.findAll('img')).toEqual([])
  box.unmount()
})
