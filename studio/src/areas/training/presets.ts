// How thoroughly to learn: steps by the number of pictures and the method, and what else goes well with them.
export type Preset = 'quick' | 'usual' | 'thorough'
export const PRESETS: readonly Preset[] = ['quick', 'usual', 'thorough']

const EACH: Record<Preset, number> = { quick: 20, usual: 60, thorough: 120 } // times that each picture is seen
const LEAST: Record<Preset, number> = { quick: 100, usual: 400, thorough: 1000 } // steps

export interface Chosen {
  steps: number
  batch: number
  rank?: number
  alpha?: number
}

/** Steps are at most three times those that the method takes by itself. */
export function preset(which: Preset, method: { name: string; steps: number }, pictures: number): Chosen {
  const batch = pictures >= 200 ? 4 : pictures >= 40 ? 2 : 1
  const seen = Math.ceil((EACH[which] * Math.max(1, pictures)) / batch / 10) * 10
  const steps = Math.min(method.steps * 3, Math.max(LEAST[which], seen))
  const size = { quick: 8, usual: 16, thorough: 32 }[which]
  return { steps, batch, ...(method.name === 'lora' ? { rank: size, alpha: size / 2 } : {}) }
}
