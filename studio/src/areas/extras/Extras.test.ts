import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { api, type JobView, Problem } from '@/api/client'
import { handed } from '@/recipe/sends'
import { useJobs } from '@/stores/jobs'

import Extras from './Extras.vue'

type Send = { body: { name?: string; work?: { picture: string } } }
const answer = (data: unknown, status = 200) => ({ data, error: { error: 'picture', message: 'no picture' }, response: new Response(null, { status }) })
let asked: string[]
beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  asked = []
  vi.spyOn(api, 'GET').mockResolvedValue(answer({ upscalers: [], preprocessors: [], captioners: [], fields: [], models: [], recipe: {} }) as never)
  vi.spyOn(api, 'POST').mockImplementation(((path: string, { body }: Send) => {
    if (path === '/api/v1/read') return Promise.resolve(body.name === 'torn.png' ? answer(undefined, 422) : answer({ sha256: body.name, width: 8, height: 8, texts: {}, warnings: [], not_understood: {}, recipe: { prompt: 'a fox' } }))
    asked.push(body.work!.picture)
    return Promise.resolve(answer({ id: `j${asked.length}`, kind: 'upscale', state: 'running', step: 0, steps: 0 } as JobView))
  }) as never)
})
afterEach(() => vi.restoreAllMocks())

async function opened(...names: string[]) {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)*', component: { render: () => null } }] })
  const page = mount(Extras, { global: { plugins: [router], stubs: { Enlarge: true } } })
  const input = page.find('input[type=file]')
  Object.defineProperty(input.element, 'files', { value: names.map((name) => new File(['x'], name)) })
  await input.trigger('change')
  await flushPromises()
  const press = (label: string) => page.findAll('button').find((one) => one.text() === label)!.trigger('click').then(flushPromises)
  return { page, router, press }
}

test('each of several pictures has an errand of its own, and what could not be read is told', async () => {
  const { page, press } = await opened('a.png', 'torn.png', 'b.png')
  expect(page.text()).toContain('torn.png')
  await press('Go: 2 pictures')
  expect(asked).toEqual(['a.png', 'b.png'])
  expect(page.findAll('h3').map((one) => one.text())).toEqual(['a.png', 'b.png'])
})

test('an errand can be cancelled, and shows no result then', async () => {
  const { page, press } = await opened('a.png')
  await press('Go')
  const post = vi.mocked(api.POST)
  await page.find('button[aria-label=Cancel]').trigger('click')
  expect(post).toHaveBeenLastCalledWith('/api/v1/jobs/{job}/{action}', { params: { path: { job: 'j1', action: 'cancel' } } })
  const jobs = useJobs()
  jobs.known.set('j1', { ...jobs.known.get('j1')!, state: 'cancelled' })
  await flushPromises()
  expect(page.text()).toContain('Cancelled.')
})

test('tags that a captioner found are said in words', async () => {
  const { page, press } = await opened('a.png')
  await press('Go')
  const jobs = useJobs()
  jobs.results.set('j1', [{ number: 0, data: { tags: { fox: 0.981, snow: 0.5 }, text: 'fox, snow' } }] as never)
  jobs.known.set('j1', { ...jobs.known.get('j1')!, state: 'done' })
  await flushPromises()
  expect(page.findAll('.results dd').map((one) => one.text())).toEqual(['fox, snow', 'fox 0.98, snow 0.50'])
})

test('the recipe that was read is handed to Create', async () => {
  const { router, press } = await opened('a.png')
  await press('Use its recipe')
  expect(handed.value).toEqual({ prompt: 'a fox' })
  expect(router.currentRoute.value.path).toBe('/create')
})

test('a look at another area or a reload loses neither pictures nor what was found out', async () => {
  const { page, press } = await opened('a.png', 'b.png')
  await press('Go: 2 pictures')
  page.unmount()
  setActivePinia(createPinia()) // loaded again
  const jobs = useJobs()
  vi.spyOn(jobs, 'refresh').mockImplementation(async (id) => {
    if (id === 'j2') throw new Problem('not-found', 'forgotten', 404)
    jobs.known.set(id, { id, kind: 'caption', state: 'done' } as never)
    jobs.results.set(id, [{ number: 0, data: { text: 'a fox' } }] as never)
  })
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)*', component: { render: () => null } }] })
  const again = mount(Extras, { global: { plugins: [router], stubs: { Enlarge: true } } })
  await flushPromises()
  expect(again.findAll('.pick').map((one) => one.attributes('title'))).toEqual(['a.png', 'b.png'])
  expect(again.find('figure img').attributes('src')).toBe('/api/v1/images/a.png')
  expect(again.findAll('.results dd').map((one) => one.text())).toEqual(['a fox'])
})

test('what a captioner says can be the prompt', async () => {
  const { page, router, press } = await opened('a.png')
  await press('Go')
  const jobs = useJobs()
  jobs.results.set('j1', [{ number: 0, data: { text: 'a fox, snow' } }] as never)
  jobs.known.set('j1', { ...jobs.known.get('j1')!, kind: 'caption', state: 'done' })
  await flushPromises()
  await press('Use it as the prompt')
  expect(router.currentRoute.value.fullPath).toBe('/create?prompt=a+fox,+snow')
  page.unmount()
})

test('an administrator takes the pictures of a folder on the machine of the server', async () => {
  const { page, press } = await opened()
  vi.mocked(api.POST).mockImplementation(((path: string, { body }: { body: { folder: string; name?: string } }) =>
    Promise.resolve(answer(path === '/api/v1/folder' ? { pictures: ['a.png', 'in/b.png'], more: 0, others: [] } : { sha256: `of ${body.folder}/${body.name}`, width: 8, height: 8, texts: {}, warnings: [], not_understood: {} }))) as never)
  const section = page.find('details')
  ;(section.element as HTMLDetailsElement).open = true
  await section.trigger('toggle')
  await page.find('form.folder input').setValue(' photos ')
  await press('Read its pictures')
  expect(page.findAll('.pick img').map((one) => one.attributes('src'))).toEqual(['/api/v1/images/of photos/a.png', '/api/v1/images/of photos/in/b.png'])
})
