// How something is looked at in its frame: how much closer, and moved by how many pixels of the screen.
export interface View {
  scale: number
  x: number
  y: number
}

export const WHOLE: View = { scale: 1, x: 0, y: 0 }
export const CLOSEST = 16

/** At another scale, with the point (x, y) of the frame staying where it is. */
export function scaled(view: View, scale: number, x: number, y: number): View {
  const by = scale / view.scale
  return { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by }
}

/** Closer by a factor, about a point of the frame; never smaller than the whole. */
export function closer(view: View, factor: number, x: number, y: number): View {
  const scale = Math.min(CLOSEST, Math.max(1, view.scale * factor))
  return scale === 1 ? WHOLE : scaled(view, scale, x, y)
}

/** Moved so that something of the size `wide` × `high` fills the frame, or lies in its middle where it is smaller. */
export function kept({ scale, x, y }: View, width: number, height: number, wide = width, high = height): View {
  const inside = (at: number, room: number, length: number) => (length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, at)))
  return { scale, x: inside(x, width, wide * scale), y: inside(y, height, high * scale) }
}
