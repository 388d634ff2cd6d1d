// Fingers on something that is looked at: what two of them did together.
interface Point {
  x: number
  y: number
}
type Touch = Pick<PointerEvent, 'pointerId' | 'pointerType' | 'clientX' | 'clientY'>

/** Moved by (dx, dy) pixels, then closer by a factor about the point (x, y) of the window. */
export interface Pinch {
  dx: number
  dy: number
  factor: number
  x: number
  y: number
}

export class Fingers {
  private readonly at = new Map<number, Point>()

  get several(): boolean {
    return this.at.size > 1
  }

  down({ pointerId, pointerType, clientX, clientY }: Touch): void {
    if (pointerType === 'touch') this.at.set(pointerId, { x: clientX, y: clientY })
  }

  up({ pointerId }: Touch): void {
    this.at.delete(pointerId)
  }

  /** A finger moved; null where it is none, or the only one. */
  move({ pointerId, clientX, clientY }: Touch): Pinch | null {
    if (!this.at.has(pointerId)) return null
    const before = this.pair()
    this.at.set(pointerId, { x: clientX, y: clientY })
    const after = this.pair()
    return before && after && { dx: after.x - before.x, dy: after.y - before.y, factor: after.apart / before.apart, x: after.x, y: after.y }
  }

  /** The middle between the first two, and how far they are apart. */
  private pair(): (Point & { apart: number }) | null {
    const [one, two] = this.at.values()
    return one && two ? { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, apart: Math.hypot(one.x - two.x, one.y - two.y) || 1 } : null
  }
}
