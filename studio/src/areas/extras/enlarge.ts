// How a picture is enlarged, as the page has it and as the server is asked for it.
import type { Schemas } from '@/api/client'

export interface Enlargement {
  by: 'scale' | 'size'
  scale: number
  /** Pixels that the longest side has at most; 0 is no limit. */
  side: number
  width: number
  height: number
  crop: boolean
  upscaler: string
  /** Empty is none. */
  upscaler2: string
  visibility2: number
  /** How much of it is seen; 0 is none of it. */
  gfpgan: number
  codeformer: number
  weight: number
}

export const enlargement = (): Enlargement => ({
  by: 'scale', scale: 2, side: 0, width: 1024, height: 1024, crop: true, upscaler: 'R-ESRGAN AnimeVideo', upscaler2: '', visibility2: 0.5,
  gfpgan: 0, codeformer: 0, weight: 0.5,
})

export function settings(wanted: Enlargement): Schemas['Postprocess'] {
  const { by, scale, side, width, height, crop, upscaler, upscaler2, visibility2, gfpgan, codeformer, weight } = wanted
  return {
    upscaler,
    ...(by === 'scale' ? { scale, ...(side ? { max_side: side } : {}) } : { size: [width, height], crop }),
    ...(upscaler2 ? { upscaler2, visibility2 } : {}),
    faces: [
      ...(gfpgan ? [{ by: 'gfpgan', visibility: gfpgan }] : []),
      ...(codeformer ? [{ by: 'codeformer', visibility: codeformer, weight }] : []),
    ],
  } as Schemas['Postprocess']
}
