// What can be laid side by side: one thing changed, the rest the same.

export interface Wanted {
  prompt: string
  seed: number
  steps: number
  guidance_scale: number
  sampler: string
  model: string
}
export type Axis = 'none' | 'guidance_scale' | 'seed' | 'sampler' | 'steps'
export const AXES: readonly Axis[] = ['none', 'guidance_scale', 'seed', 'sampler', 'steps']

export interface Variant extends Wanted {
  /** What sets it apart from its neighbours. */
  label: string
}

const SCALES = [1, 2, 4, 8]
const SAMPLERS = ['euler', 'euler_ancestral', 'dpmpp_2m', 'dpmpp_2m_sde']
const STEPS = [4, 8, 16, 32]
const SEEDS = 4

export function variants(wanted: Wanted, axis: Axis): Variant[] {
  const one = (label: string, changed: Partial<Wanted>): Variant => ({ ...wanted, ...changed, label })
  if (axis === 'guidance_scale') return SCALES.map((n) => one(String(n), { guidance_scale: n }))
  if (axis === 'sampler') return SAMPLERS.map((sampler) => one(sampler, { sampler }))
  if (axis === 'steps') return STEPS.map((n) => one(String(n), { steps: n }))
  if (axis === 'seed') return Array.from({ length: SEEDS }, (_, i) => one(String(wanted.seed + i), { seed: wanted.seed + i }))
  return [one('', {})]
}

/** Points of a curve in a box of 1 by 1: the noise levels of steps on a logarithmic scale, the highest at the top. */
export function curve(sigmas: readonly number[]): { x: number; y: number }[] {
  const logs = sigmas.map((sigma) => Math.log(Math.max(sigma, 1e-3)))
  const [low, high] = [Math.min(...logs), Math.max(...logs)]
  return logs.map((log, i) => ({
    x: logs.length > 1 ? i / (logs.length - 1) : 0,
    y: high > low ? (high - log) / (high - low) : 0,
  }))
}

/** The index of a step that is this far (0 to 1) on the way of `count` steps. */
export function stepAt(share: number, count: number): number {
  return Math.max(0, Math.min(count - 1, Math.round(share * (count - 1))))
}
