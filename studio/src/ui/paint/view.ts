// How a canvas is looked at: how much closer, and moved by how many pixels of the screen.
export interface View {
  scale: number
  x: number
  y: number
}

export const WHOLE: View = { scale: 1, x: 0, y: 0 }
const CLOSEST = 16

/** Closer by a factor, with the point (x, y) of the frame staying where it is; never smaller than the whole. */
export function closer(view: View, factor: number, x: number, y: number): View {
  const scale = Math.min(CLOSEST, Math.max(1, view.scale * factor))
  if (scale === 1) return WHOLE
  const by = scale / view.scale
  return { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by }
}

/** Moved, but never out of a frame of this size. */
export function kept({ scale, x, y }: View, width: number, height: number): View {
  const inside = (at: number, length: number) => Math.min(0, Math.max(length - length * scale, at))
  return { scale, x: inside(x, width), y: inside(y, height) }
}
