import { expect, test } from 'vitest'

import { familyOf, garbles, spaceOf } from './families'

test('SD 1 and 2 share their autoencoders, SDXL has its own, and what is not known warns of nothing', () => {
  expect(['sd1', 'sd2', 'sdxl', 'sdxl_refiner', null].map(spaceOf)).toEqual(['SD 1.x / 2.x', 'SD 1.x / 2.x', 'SDXL', 'SDXL', ''])
  expect([garbles('sd1', 'sd2'), garbles('sdxl', 'sd1'), garbles('sd1', 'sdxl_refiner'), garbles(null, 'sd1'), garbles('sdxl', undefined)]).toEqual([false, true, true, false, false])
})

test('families are written as people write them', () => expect(['sd1', 'sdxl_refiner', 'another'].map(familyOf)).toEqual(['SD 1.x', 'SDXL Refiner', 'another']))
