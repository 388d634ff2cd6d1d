import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { api } from '@/api/client'

import { useGrids } from './store'

const picture = (sha256: string) => ({ path: '', sha256 })
let bodies: { recipe: Record<string, unknown>; script: Record<string, unknown>; styles: string[] }[]

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  setActivePinia(createPinia())
  bodies = []
  vi.spyOn(api, 'POST').mockImplementation(((_: string, { body }: { body: (typeof bodies)[0] }) => {
    bodies.push(body)
    return Promise.resolve({ data: { columns: [], rows: [], layers: [], count: 0, seconds: null }, response: new Response() })
  }) as never)
})
afterEach(() => vi.restoreAllMocks())

test('what Create has is taken as Create would send it', async () => {
  const recipe = { prompt: 'a cat', hires: { scale: 2 }, gligen: 'boxes', controls: [{ image: picture('c'), off: true }], inpaint: { blur: 4 }, outpaint: { left: 64 } }
  localStorage.setItem('fromnoise.draft', JSON.stringify({ recipe, seed: '7', styles: ['ink'], start: { sha256: 's', width: 64, height: 64 }, mask: { sha256: 'm', width: 64, height: 64 } }))
  const grids = useGrids()
  grids.takeDraft()
  await grids.look()
  expect(bodies[0]).toMatchObject({ styles: ['ink'], recipe: { prompt: 'a cat', seed: '7', controls: [], init: picture('s'), mask: picture('m'), inpaint: { blur: 4 }, outpaint: { left: 64 } } })
  expect(Object.keys(bodies[0]!.recipe)).not.toEqual(expect.arrayContaining(['hires']))
  grids.begin('other') // on which nothing was painted
  await grids.look()
  expect(bodies[1]!.recipe).toMatchObject({ init: picture('other') })
  for (const name of ['mask', 'inpaint', 'outpaint', 'hires', 'gligen']) expect(bodies[1]!.recipe).not.toHaveProperty(name)
  grids.begin(null)
  await grids.look()
  expect(bodies[2]!.recipe).not.toHaveProperty('strength')
})

test('an inpainted picture of the gallery is inpainted in every place', async () => {
  const grids = useGrids()
  grids.draft.styles = ['ink']
  grids.takeRecipe({ prompt: 'a cat in ink', init: picture('s'), mask: picture('m'), inpaint: { blur: 2 }, model_hash: 'ab' })
  await grids.look()
  expect(bodies[0]).toMatchObject({ styles: [], recipe: { init: picture('s'), mask: picture('m'), inpaint: { blur: 2 } } })
})

test('axes change places, and seeds vary with them', async () => {
  const grids = useGrids()
  grids.vary('y', true)
  grids.vary('x', true)
  expect(grids.draft.vary).toBe('xy')
  grids.vary('y', false)
  const [x, y] = grids.draft.axes.map((axis) => ({ ...axis }))
  grids.swap(0, 1)
  expect([grids.draft.axes[0], grids.draft.axes[1], grids.draft.vary]).toEqual([y, x, 'y'])
  await grids.look()
  expect(bodies[0]!.script).toMatchObject({ vary_seeds: 'y', any_seeds: false })
})
