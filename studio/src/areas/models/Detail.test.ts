import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api, type Schemas } from '@/api/client'

import Detail from './Detail.vue'

beforeEach(() => setActivePinia(createPinia()))
afterEach(() => vi.restoreAllMocks())

const CARD = { kind: 'loras', file: 'ink.safetensors', name: 'ink', size: 1, description: 'ink', notes: '', trigger_words: ['ink'], negative: '', weight: null, dtypes: [] } as unknown as Schemas['ModelCard']

test('notes that are not saved are told of to whoever shows them, and stay while something else is done', async () => {
  vi.spyOn(api, 'PUT').mockResolvedValue({ data: { ...CARD, notes: 'fine lines' }, response: new Response() } as never)
  const page = mount(Detail, { props: { card: CARD, admin: true }, global: { stubs: { Picker: true } } })
  const press = (label: string) => page.findAll('button').find((one) => one.text() === label)!.trigger('click')
  const unsaved = () => (page.vm as unknown as { unsaved: boolean }).unsaved
  await press('Edit notes')
  expect(unsaved()).toBe(false)
  await page.findAll('textarea')[1]!.setValue('fine lines')
  expect(unsaved()).toBe(true)
  await press('Preview picture')
  await press('Edit notes')
  expect(page.findAll('textarea')[1]!.element.value).toBe('fine lines')
  await page.find('form').trigger('submit')
  await flushPromises()
  expect(unsaved()).toBe(false)
})
