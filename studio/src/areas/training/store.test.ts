import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { expect, test, vi } from 'vitest'

import { api, type JobView } from '@/api/client'
import { useJobs } from '@/stores/jobs'
import Press from '@/ui/Press.vue'

import Clean from './Clean.vue'
import { used } from './store'

test.each([
  ['loras', { add: '<lora:ink:1>' }],
  ['hypernetworks', { add: '<hypernet:ink:1>' }],
  ['embeddings', { add: 'ink' }],
  ['controlnet', { control: 'ink' }],
  ['t2i_adapter', { control: 'ink' }],
  ['checkpoints', { model: 'ink' }],
])('what was learnt for %s is used as what it is', (shelf, query) => {
  expect(used(shelf, 'ink')).toEqual(query)
})

test('pictures that are there more than once are counted and set aside apart from broken and small ones', async () => {
  setActivePinia(createPinia())
  const jobs = useJobs()
  vi.spyOn(api, 'POST').mockResolvedValue({ data: { id: 'j', kind: 'examine-set', state: 'done', steps: 0, step: 0 } as JobView, response: new Response() } as never)
  const data = {
    count: 6, broken: [{ name: 'b.png', reason: 'torn' }], small: [{ name: 's.png', width: 8, height: 8 }],
    same: [['1.png', '2.png', '3.png']], spare: ['b.png', 's.png', '2.png', '3.png'],
  }
  jobs.results.set('j', [{ number: 0, data }] as never)
  const page = mount(Clean, { props: { name: 'dots' } })
  const press = (i: number) => page.findAllComponents(Press)[i]!.trigger('click')
  await press(0)
  await vi.waitFor(() => expect(page.text()).toContain('2 more than once'))
  await press(3)
  expect(page.emitted('aside')).toEqual([[['2.png', '3.png']]])
  vi.restoreAllMocks()
})
