// A curve of a training as a path in a box, with a smoothed one: single losses jump, their mean tells.
export interface At {
  step: number
  value: number
}

export interface Box {
  width: number
  height: number
}

export interface Drawn {
  path: string
  low: number
  high: number
}

/** An exponential mean, corrected for its start. */
export function smoothed(points: readonly At[], weight = 0.9): At[] {
  let mean = 0
  let sum = 0
  return points.map(({ step, value }) => {
    mean = weight * mean + (1 - weight) * value
    sum = weight * sum + (1 - weight)
    return { step, value: mean / sum }
  })
}

/** The points as an SVG path; `steps` is the whole width, where it is known. */
export function drawn(points: readonly At[], { width, height }: Box, steps = 0, within?: { low: number; high: number }): Drawn {
  const real = points.filter(({ value }) => Number.isFinite(value))
  const low = within?.low ?? Math.min(...real.map(({ value }) => value), Infinity)
  const high = within?.high ?? Math.max(...real.map(({ value }) => value), -Infinity)
  const last = Math.max(steps, real.at(-1)?.step ?? 0, 1)
  const x = (step: number) => ((step / last) * width).toFixed(1)
  const y = (value: number) => (high > low ? height - ((value - low) / (high - low)) * height : height / 2).toFixed(1)
  return { path: real.map(({ step, value }, i) => `${i ? 'L' : 'M'}${x(step)} ${y(value)}`).join(''), low, high }
}
