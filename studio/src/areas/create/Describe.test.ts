import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { expect, test, vi } from 'vitest'
import { nextTick } from 'vue'

import { api } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'
import { useJobs } from '@/stores/jobs'

import Describe from './Describe.vue'
import { useDraft } from './draft'

test('what a captioner says becomes the prompt', async () => {
  setActivePinia(createPinia())
  useCatalogue().models = [{ kind: 'captioners', name: 'wd14' }] as never
  const { draft } = useDraft()
  draft.start = { sha256: 'a', width: 64, height: 64 }
  vi.spyOn(api, 'POST').mockResolvedValue({ data: { id: 'j', kind: 'caption', state: 'done', owner: '', body: {} }, response: new Response() } as never)
  const page = mount(Describe, { props: { open: true }, global: { stubs: { Sheet: { template: '<div><slot /><slot name="foot" /></div>' } } } })
  await page.find('.row button').trigger('click')
  await new Promise((go) => setTimeout(go))
  // as jobs/worker/finishing.py gives it
  useJobs().results.set('j', [{ number: 0, data: { text: 'a red fox', tags: { fox: 0.9 }, rating: 'general' } }] as never)
  await nextTick()
  await nextTick()
  expect(page.find('textarea').element.value).toBe('a red fox')
  await page.findAll('button').at(-1)!.trigger('click')
  expect(draft.recipe.prompt).toBe('a red fox')
  draft.start = { sha256: 'b', width: 64, height: 64 }
  await nextTick()
  expect(page.find('textarea').exists()).toBe(false) // it was said of another picture
})
