import { expect, test } from 'vitest'

import { enlargement, settings } from './enlarge'

test('what is not asked for is not sent', () => {
  expect(settings(enlargement())).toEqual({ upscaler: 'R-ESRGAN AnimeVideo', scale: 2, faces: [] })
})

test('a limit of the longest side goes with a factor alone', () => {
  expect(settings({ ...enlargement(), side: 2048 })).toMatchObject({ scale: 2, max_side: 2048 })
  expect(settings({ ...enlargement(), side: 2048, by: 'size' })).not.toHaveProperty('max_side')
})

test('a size, a second upscaler and faces', () => {
  const wanted = { ...enlargement(), by: 'size' as const, width: 640, height: 512, upscaler2: 'Lanczos', codeformer: 0.7, gfpgan: 1 }
  expect(settings(wanted)).toEqual({
    upscaler: 'R-ESRGAN AnimeVideo', size: [640, 512], crop: true, upscaler2: 'Lanczos', visibility2: 0.5,
    faces: [{ by: 'gfpgan', visibility: 1 }, { by: 'codeformer', visibility: 0.7, weight: 0.5 }],
  })
})
