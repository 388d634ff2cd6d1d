import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'
import { preferences } from '@/stores/preferences'
import Bar from '@/ui/Bar.vue'
import { notes } from '@/ui/notes'
import Trouble from '@/ui/Trouble.vue'
import Typed from '@/ui/Typed.vue'

import DataSet from './DataSet.vue'
import SettingField from './SettingField.vue'
import { useTraining, type Setting } from './store'
import Training from './Training.vue'

type Give = (data: unknown) => void
const answer = (data: unknown) => Promise.resolve({ data, response: new Response() })
const held = (into: Give[]) => new Promise((give) => into.push((data) => give({ data, response: new Response() })))
const pictures = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ name: `${from + i}.png`, caption: 'a dot', url: `/${from + i}?a=1`, width: 64, height: 64 }))

let sent: Give[]
let pages: Give[]
let said: Give[]
beforeEach(() => {
  setActivePinia(createPinia())
  sent = []
  pages = []
  said = []
  vi.spyOn(api, 'GET').mockImplementation(((path: string) => (path.endsWith('/pictures') ? held(pages) : answer([]))) as never)
  vi.spyOn(api, 'POST').mockImplementation((() => held(sent)) as never)
  vi.spyOn(api, 'PUT').mockImplementation((() => held(said)) as never)
})
afterEach(() => {
  vi.restoreAllMocks()
  preferences.language = 'en'
  notes.splice(0)
})

const files = (...names: string[]) => names.map((name) => new File(['x'], name, { type: 'image/png' }))

async function opened(count = 3) {
  const page = mount(DataSet, { props: { name: 'dots' } })
  await flushPromises()
  pages[0]!({ pictures: pictures(0, Math.min(60, count)), count })
  await flushPromises()
  return page
}

test('more pictures can be dropped while some are still sent', async () => {
  const page = await opened()
  const drop = (...names: string[]) => page.find('label.drop').trigger('drop', { dataTransfer: { files: files(...names) } })
  await drop('a.png')
  await drop('b.png', 'c.png')
  expect(page.findComponent(Bar).props('label')).toContain('0 of 3')
  for (let i = 0; i < 3; i++) {
    sent[i]!({})
    await flushPromises()
  }
  expect(sent).toHaveLength(3)
  expect(page.findComponent(Trouble).exists()).toBe(false)
  expect(page.findComponent(Bar).exists()).toBe(false)
})

test('sending can be stopped: what was sent stays, the rest is not sent, and later more can be', async () => {
  const page = await opened()
  const drop = (...names: string[]) => page.find('label.drop').trigger('drop', { dataTransfer: { files: files(...names) } })
  await drop('a.png', 'b.png', 'c.png')
  sent[0]!({})
  await flushPromises()
  expect(page.findComponent(Bar).props('label')).toContain('1 of 3')
  await page.findAll('button').find((one) => one.text() === 'Cancel')!.trigger('click')
  sent[1]!({}) // it was under way
  await flushPromises()
  expect(sent).toHaveLength(2)
  expect(page.findComponent(Bar).exists()).toBe(false)
  expect(page.findComponent(Trouble).exists()).toBe(false)
  await drop('d.png')
  sent[2]!({})
  await flushPromises()
  expect(sent).toHaveLength(3)
})

test('every setting is called in Chinese by its Chinese name, in both by both', async () => {
  vi.mocked(api.GET).mockImplementation((() => answer([])) as never)
  const setting: Setting = { name: 'min_snr_gamma', names: ['min_snr_gamma'], title_zh: '最小信噪比', text: 'x', text_zh: '按信噪比加权', panel: '', panel_zh: '', kind: 'number' }
  const label = () => mount(SettingField, { props: { setting, modelValue: undefined } }).find('label').text()
  expect(label()).toBe('Min snr gamma')
  expect(mount(SettingField, { props: { setting, modelValue: undefined } }).find('input').attributes('placeholder')).toBe('default')
  preferences.language = 'zh'
  expect(label()).toBe('最小信噪比')
  preferences.language = 'both'
  expect(label()).toMatch(/Min snr gamma\s+最小信噪比/)
})

test('a page of pictures that is asked for twice comes once', async () => {
  const page = await opened(100)
  const more = page.findAll('button').find((one) => one.text() === 'More')!
  await more.trigger('click')
  await more.trigger('click')
  for (const give of pages.slice(1)) give({ pictures: pictures(60, 40), count: 100 })
  await flushPromises()
  expect(page.findAll('.pictures li')).toHaveLength(100)
})

test('an older answer does not bring back a caption that was changed since', async () => {
  const page = await opened()
  const caption = page.findAllComponents(Typed).find((one) => one.attributes('aria-label')?.includes('0.png'))!
  caption.vm.$emit('typed', 'a red dot', NaN)
  caption.vm.$emit('typed', 'a blue dot', NaN)
  await flushPromises()
  said[1]!({ ...pictures(0, 1)[0], caption: 'a blue dot' })
  said[0]!({ ...pictures(0, 1)[0], caption: 'a red dot' })
  await flushPromises()
  expect(caption.props('value')).toBe('a blue dot')
})

test('what was chosen stays when the trainings have come', async () => {
  const training = useTraining()
  const load = vi.spyOn(training, 'load').mockImplementation(async () => {
    training.view = 'new' // somebody presses it meanwhile
    training.runs = ['run']
  })
  vi.mocked(api.GET).mockImplementation((() => answer({ models: [], methods: [], settings: [], fields: [] })) as never)
  mount(Training, { shallow: true })
  await flushPromises()
  expect(load).toHaveBeenCalled()
  expect(training.view).toBe('new')
})

test('texts that are dropped alone are said of the pictures of their names, and what fits nothing is told', async () => {
  const page = await opened(2)
  vi.mocked(api.GET).mockImplementation(((path: string) => answer(path.endsWith('/pictures') ? { pictures: pictures(0, 2), count: 2 } : [])) as never)
  const put = vi.mocked(api.PUT).mockImplementation((() => answer({})) as never)
  const given = [new File(['a dot '], '1.txt'), new File(['a line'], '9.txt'), new File(['x'], 'read.me')]
  await page.find('label.drop').trigger('drop', { dataTransfer: { files: given } })
  await flushPromises()
  expect(put.mock.calls.map((call: unknown[]) => call[1])).toEqual([{ params: { path: { dataset: 'dots', name: '1.png' } }, body: { caption: 'a dot' } }])
  expect(notes.map((one) => one.text)).toEqual([
    '1 picture is described by the text of its name.',
    '1 text has no picture of its name here: 9.txt',
    '1 file is neither a picture nor a text, and was left out: read.me',
  ])
})

test('pictures are cut into a new data set, as far as something is to be done with them', async () => {
  const page = await opened()
  const form = page.find('form:has(fieldset)')
  const press = () => form.findAll('button').find((one) => one.text() === 'Cut them')!
  expect(press().attributes('disabled')).toBeDefined()
  await form.find('input[type=checkbox][value=horizontal]').setValue(true)
  await press().trigger('click')
  const { work } = (vi.mocked(api.POST).mock.calls[0]![1] as unknown as { body: { work: { settings: object } } }).body
  expect(work).toMatchObject({ kind: 'cut-set', dataset: 'dots', out: 'dots-512', settings: { width: 512, split: false, flips: ['horizontal'] } })
})
