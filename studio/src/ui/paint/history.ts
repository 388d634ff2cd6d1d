// What was painted, so that it can be taken back: the pixels of each stroke's box, before and after.
export interface Box {
  left: number
  top: number
  right: number
  bottom: number
}

interface Patch {
  x: number
  y: number
  before: ImageData
  after: ImageData
}

const MOST = 64 // strokes
export const NOWHERE: Box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity }

/** The box with a dot of this radius in it. */
export function grown(box: Box, x: number, y: number, radius: number): Box {
  return {
    left: Math.min(box.left, x - radius),
    top: Math.min(box.top, y - radius),
    right: Math.max(box.right, x + radius),
    bottom: Math.max(box.bottom, y + radius),
  }
}

/** The box in whole pixels of a canvas; null where nothing of it is on the canvas. */
export function onCanvas(box: Box, width: number, height: number): { x: number; y: number; w: number; h: number } | null {
  const x = Math.max(0, Math.floor(box.left) - 1)
  const y = Math.max(0, Math.floor(box.top) - 1)
  const w = Math.min(width, Math.ceil(box.right) + 1) - x
  const h = Math.min(height, Math.ceil(box.bottom) + 1) - y
  return w > 0 && h > 0 ? { x, y, w, h } : null
}

export class History {
  done: Patch[] = []
  undone: Patch[] = []

  /** Remember what a stroke changed in a box: `before` is the canvas as it was. */
  add(before: CanvasRenderingContext2D, now: CanvasRenderingContext2D, box: Box): void {
    const at = onCanvas(box, now.canvas.width, now.canvas.height)
    if (!at) return
    const { x, y, w, h } = at
    this.done = [...this.done, { x, y, before: before.getImageData(x, y, w, h), after: now.getImageData(x, y, w, h) }].slice(-MOST)
    this.undone = []
  }

  undo(now: CanvasRenderingContext2D): void {
    const patch = this.done.pop()
    if (!patch) return
    this.undone.push(patch)
    now.putImageData(patch.before, patch.x, patch.y)
  }

  redo(now: CanvasRenderingContext2D): void {
    const patch = this.undone.pop()
    if (!patch) return
    this.done.push(patch)
    now.putImageData(patch.after, patch.x, patch.y)
  }
}
