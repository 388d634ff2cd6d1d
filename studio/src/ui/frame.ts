// Rectangles that are drawn, moved and pulled by their handles; any unit.
export interface Rect {
  x: number
  y: number
  width: number
  height: number
}

export type Handle = 'move' | 'n' | 's' | 'e' | 'w' | 'ne' | 'nw' | 'se' | 'sw'
export const HANDLES: readonly Handle[] = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w']

/** A rectangle pulled at a handle by (dx, dy), inside `room`, and no smaller than `least`. */
export function pulled(rect: Rect, handle: Handle, dx: number, dy: number, room: Rect, least: number): Rect {
  const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), Math.max(low, high))
  if (handle === 'move') {
    const x = clamp(rect.x + dx, room.x, room.x + room.width - rect.width)
    const y = clamp(rect.y + dy, room.y, room.y + room.height - rect.height)
    return { ...rect, x, y }
  }
  let [left, top, right, bottom] = [rect.x, rect.y, rect.x + rect.width, rect.y + rect.height]
  if (handle.includes('w')) left = clamp(left + dx, room.x, right - least)
  if (handle.includes('e')) right = clamp(right + dx, left + least, room.x + room.width)
  if (handle.includes('n')) top = clamp(top + dy, room.y, bottom - least)
  if (handle.includes('s')) bottom = clamp(bottom + dy, top + least, room.y + room.height)
  return { x: left, y: top, width: right - left, height: bottom - top }
}

/** What an arrow key does: moves, and with Shift makes larger or smaller. */
export function nudged(event: KeyboardEvent, rect: Rect, by: number, room: Rect, least: number): Rect | null {
  const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key]
  return way ? pulled(rect, event.shiftKey ? 'se' : 'move', way[0]!, way[1]!, room, least) : null
}

/** The margins of a frame around a picture of this size, whole and not negative. */
export function margins(frame: Rect, width: number, height: number): { left: number; top: number; right: number; bottom: number } {
  const whole = (value: number) => Math.max(0, Math.round(value))
  return { left: whole(-frame.x), top: whole(-frame.y), right: whole(frame.x + frame.width - width), bottom: whole(frame.y + frame.height - height) }
}
