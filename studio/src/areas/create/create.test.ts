import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defineComponent, h } from 'vue'

import { api } from '@/api/client'
import { areas } from '@/areas'
import { useCatalogue } from '@/recipe/catalogue'
import { useSources } from '@/prompt/sources'
import { preferences } from '@/stores/preferences'
import { notes } from '@/ui/notes'
import Sheet from '@/ui/Sheet.vue'

import en from './en.json'
import FromPicture from './FromPicture.vue'
import StartPicture from './StartPicture.vue'
import { useDraft } from './draft'
import zh from './zh.json'

const answer = (data: unknown) => Promise.resolve({ data, response: new Response() })

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
})
afterEach(() => {
  vi.restoreAllMocks()
  preferences.language = 'en'
  notes.splice(0)
  document.body.replaceChildren()
})

test('the fields of a recipe that is read have their names in Chinese', async () => {
  preferences.language = 'zh'
  const read = { recipe: { prompt: 'a castle', guidance_scale: 5 }, source: 'AUTOMATIC1111', texts: {}, warnings: [], sha256: 'a', width: 8, height: 8 }
  vi.spyOn(api, 'POST').mockImplementation((() => answer(read)) as never)
  const page = mount(FromPicture, { props: { modelValue: null }, attachTo: document.body })
  await page.setProps({ modelValue: new File(['x'], 'a.png', { type: 'image/png' }) })
  await flushPromises()
  expect([...document.querySelectorAll('dt')].map((one) => one.textContent)).toContain('提示词引导系数（CFG）')
  page.unmount()
})

test('a sheet that could not be sent opens no sketch later', async () => {
  const context = { fillRect: () => undefined }
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never)
  vi.spyOn(HTMLCanvasElement.prototype, 'toBlob').mockImplementation((take) => take(new Blob(['x'], { type: 'image/png' })))
  vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('Failed to fetch'))
  const page = mount(StartPicture, { attachTo: document.body })
  await page.findAll('button').find((one) => one.text() === en['start.blank'])!.trigger('click')
  await flushPromises()
  expect(notes).toHaveLength(1)
  useDraft().begin({ sha256: 'a', width: 64, height: 64 })
  await flushPromises()
  expect(page.findAllComponents(Sheet).map((one) => one.props('open'))).not.toContain(true)
  page.unmount()
})

test('what a completion is, is told in the language of the page', async () => {
  preferences.language = 'zh'
  vi.spyOn(api, 'GET').mockImplementation((() => answer([{ name: 'animals' }])) as never)
  useCatalogue().models = [{ kind: 'embeddings', name: 'easy' }, { kind: 'hypernetworks', name: 'anime' }] as never
  let found: ReturnType<typeof useSources>
  mount(defineComponent({ setup: () => ((found = useSources()), () => h('i')) }))
  await flushPromises()
  expect(found!.value.networks.map((one) => one.about)).toEqual(['超网络'])
  expect(found!.value.words[0]).toMatchObject({ label: 'easy', about: '嵌入' })
  expect(found!.value.wildcards.map((one) => one.about)).toEqual(['通配符'])
})

test('the area that a picture is sent to is called what the navigation calls it', () => {
  const { title } = areas.find((one) => one.name === 'extras')!
  expect([en['deed.extras'], zh['deed.extras']]).toEqual([title.en, title.zh])
})

/** The page's own field for files, given one. */
async function choose(page: ReturnType<typeof mount>, name: string): Promise<void> {
  const field = page.find('input[type=file]')
  Object.defineProperty(field.element, 'files', { value: [new File(['x'], name, { type: 'image/png' })], configurable: true })
  await field.trigger('change')
  await flushPromises()
}
const press = (page: ReturnType<typeof mount>, label: string) => page.findAll('button').find((one) => one.text() === label)!.trigger('click')

test.each(['en', 'zh'] as const)('a start picture that the server has no more is chosen again, and all that was set stays: %s', async (language) => {
  preferences.language = language
  const say = { en, zh }[language]
  vi.spyOn(globalThis, 'fetch').mockImplementation(() => Promise.resolve(new Response('{"sha256":"new","width":64,"height":32}')))
  const { draft } = useDraft()
  Object.assign(draft, { start: { sha256: 'old', width: 64, height: 32 }, mask: { sha256: 'm', width: 64, height: 32 } })
  Object.assign(draft.recipe, { width: 640, height: 320, strength: 0.3 })
  const page = mount(StartPicture, { attachTo: document.body })
  expect(page.find('[role=alert]').exists()).toBe(false)
  await page.find('.thumb img').trigger('error')
  expect(page.find('[role=alert]').text()).toContain(say['start.gone'])
  await press(page, say['start.choose.again'])
  await choose(page, 'fox.png')
  expect(page.find('[role=alert]').exists()).toBe(false)
  expect(draft).toMatchObject({ start: { sha256: 'new', name: 'fox.png' }, mask: { sha256: 'm' }, recipe: { width: 640, height: 320, strength: 0.3 } })
  page.unmount()
})

test('what a recipe began with and is not here is asked for, or done without', async () => {
  vi.spyOn(globalThis, 'fetch').mockImplementation(() => Promise.resolve(new Response('{"sha256":"new","width":64,"height":64}')))
  const { draft } = useDraft()
  draft.lost = [{ what: 'start', name: 'fox.png' }, { what: 'mask', name: '' }]
  draft.recipe.width = 200
  const page = mount(StartPicture, { attachTo: document.body })
  expect(page.findAll('[role=alert]').map((one) => one.text())).toEqual([expect.stringContaining('(fox.png)'), expect.stringContaining(en['start.lost.mask'])])
  await choose(page, 'my fox.png')
  expect(draft).toMatchObject({ start: { sha256: 'new' }, lost: [{ what: 'mask' }], recipe: { width: 200 } })
  await press(page, en['start.lost.without'])
  expect(draft.lost).toEqual([])
  page.unmount()
})

test('pictures of a batch that the server has no more are left out by one press', async () => {
  const { draft } = useDraft()
  const picture = (sha256: string) => ({ sha256, width: 64, height: 64 })
  Object.assign(draft, { start: picture('a'), more: [picture('b'), picture('c')] })
  const page = mount(StartPicture, { attachTo: document.body })
  await page.findAll('.several img')[1]!.trigger('error')
  await press(page, en['batch.gone.without'])
  expect(draft.more.map((one) => one.sha256)).toEqual(['b'])
  page.unmount()
})
