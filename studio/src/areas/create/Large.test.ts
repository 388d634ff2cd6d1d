import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { expect, test } from 'vitest'

import type { JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'

import Large from './Large.vue'

test('what is seen large stays while the stage goes on with its order', async () => {
  setActivePinia(createPinia())
  const job = (id: string) => ({ id, kind: 'picture', state: 'done', body: { prompt: id } }) as unknown as JobView
  const jobs = [job('c'), job('b'), job('a')]
  for (const id of ['a', 'b']) useJobs().results.set(id, [{ url: `/${id}.png` }] as never)
  const global = { stubs: { Sheet: { template: '<div><slot /></div>' } } }
  const page = mount(Large, { props: { open: false, jobs, chosen: 'a' }, global })
  await page.setProps({ open: true })
  await page.setProps({ chosen: 'c' }) // it has no picture yet
  expect(page.find('img').attributes('src')).toBe('/a.png')
  await page.find('[aria-label^="The newer one"]').trigger('click')
  expect(page.emitted('choose')).toEqual([['b']])
  expect(page.find('img').attributes('src')).toBe('/b.png')
  await page.setProps({ open: false })
  await page.setProps({ chosen: 'a', open: true })
  expect(page.find('img').attributes('src')).toBe('/a.png')
})
