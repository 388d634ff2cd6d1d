import { expect, test } from 'vitest'

import { sends } from './sends'

const next = (all: ReturnType<typeof sends>) => all.map(({ to }) => to.query.next)

test('a picture is sent to all that Create makes of one, by its address alone', () => {
  expect(next(sends({ start: 'p1' }, { prompt: 'a fox' }))).toEqual([undefined, 'mask', 'sketch', 'outpaint', 'hires', 'controls', 'image_prompts'])
  expect(sends({ image: 'ab' })[1]!.to).toEqual({ path: '/create', query: { image: 'ab', next: 'mask' } })
})

test('a second pass follows a picture that was made from noise, by its recipe', () => {
  for (const all of [sends({ start: 'p1' }), sends({ start: 'p1' }, { init: {} }), sends({ image: 'ab' }, { prompt: 'a fox' })]) expect(next(all)).not.toContain('hires')
})
