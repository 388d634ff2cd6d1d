// How a picture is cut to what a model learns from, as the page has it and as the server is asked for it.
import type { Schemas } from '@/api/client'

export const FLIPS = ['horizontal', 'vertical', 'both'] as const
export type Cuts = Required<Schemas['Cut']>

export const cuts = (): Cuts => ({
  width: 512, height: 512, split: false, threshold: 0.5, overlap: 0.2, focal: false, edges: 0.5, entropy: 0.15,
  fit: false, shortest: 384, longest: 768, smallest: 4096, largest: 409_600, prefer: 'area', error: 0.1, flips: [],
})

/** Whether anything is to be done. */
export const cutsAny = ({ split, focal, fit, flips }: Cuts) => split || focal || fit || flips.length > 0
