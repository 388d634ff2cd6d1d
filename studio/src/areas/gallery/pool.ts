// The cells of the wall: a few more elements than fit the screen. One that is scrolled away takes up a picture that comes,
// so that scrolling makes and drops no elements; and pictures begin to load a few at a time, those on the screen first.
// They are painted on canvases: whenever the browser tidies its memory, each picture that an <img> has had and dropped
// costs it some 40 microseconds, and thousands passed in a few seconds stop the page for several frames.
import { pictureAt } from '@/api/client'

import type { Window } from './grid'

const LOADS = 4 // pictures that begin to load in one frame: 240 a second, more than the fastest wheel passes

export interface Cell<T> {
  readonly element: HTMLElement
  readonly canvas: HTMLCanvasElement
  /** Which picture it shows; -1 is none. */
  index: number
  card: T | null
  /** Ends the loading of its picture. */
  stop?: AbortController
}

export type Bring = (url: string, signal: AbortSignal) => Promise<ImageBitmap>

/** A picture, decoded aside. Fails where there is none, or when the signal comes. */
export const bring: Bring = async (url, signal) => createImageBitmap(await pictureAt(url, signal))

interface Wanted<T> {
  cards: readonly T[]
  part: Window
  /** The cells that are on the screen, without those kept around it. */
  screen: Window
  /** Changes where all cells have to be written anew. */
  look: string
}

export class Pool<T extends { thumb: string }> {
  private cells: Cell<T>[] = []
  private readonly waiting = new Set<Cell<T>>()
  private look = ''

  /** Cells are copies of `model` in `list`; `write` tells one all but its picture. */
  constructor(
    private readonly list: HTMLElement,
    private readonly model: HTMLElement,
    private readonly write: (cell: Cell<T>) => void,
    private readonly bring: Bring,
  ) {}

  /** Shows a part of the cards; whether there are pictures that have yet to begin to load, in frames to come. */
  draw({ cards, part, screen, look }: Wanted<T>): boolean {
    const anew = look !== this.look
    this.look = look
    const needed = part.end - part.first
    this.resize(anew ? needed : Math.max(needed, Math.min(this.cells.length, cards.length)))
    for (let index = part.first; index < part.end; index++) {
      const cell = this.cells[index % this.cells.length]!
      if (cell.index !== index || cell.card !== cards[index] || anew) this.fill(cell, cards[index]!, index)
    }
    this.load(screen)
    return this.waiting.size > 0
  }

  /** The one that shows a picture. */
  at(index: number): Cell<T> | undefined {
    return this.cells.find((cell) => cell.index === index)
  }

  /** The one that is this element. */
  of(element: Element | null | undefined): Cell<T> | undefined {
    return this.cells.find((cell) => cell.element === element)
  }

  /** Elements in the order of their pictures, as Tab and screen readers go. Where one has the focus it would lose it. */
  sort(): void {
    if (this.list.contains(document.activeElement)) return
    const sorted = [...this.cells].sort((a, b) => a.index - b.index)
    if (sorted.some(({ element }, i) => this.list.children[i] !== element)) this.list.append(...sorted.map(({ element }) => element))
  }

  private resize(count: number): void {
    for (const { element, stop } of this.cells.splice(count)) {
      stop?.abort()
      element.remove()
    }
    while (this.cells.length < count) {
      const element = this.model.cloneNode(true) as HTMLElement
      this.cells.push({ element, canvas: element.querySelector('canvas')!, index: -1, card: null })
      this.list.append(element)
    }
  }

  private fill(cell: Cell<T>, card: T, index: number): void {
    if (cell.index !== index && cell.element.contains(document.activeElement)) (document.activeElement as HTMLElement).blur()
    if (cell.card?.thumb !== card.thumb) {
      cell.stop?.abort()
      cell.canvas.style.visibility = 'hidden'
      this.waiting.delete(cell)
      this.waiting.add(cell) // the last
    }
    cell.index = index
    cell.card = card
    this.write(cell)
  }

  private load({ first, end }: Window): void {
    const middle = (first + end) / 2
    const nearest = [...this.waiting].sort((a, b) => Math.abs(a.index - middle) - Math.abs(b.index - middle))
    for (const cell of nearest.slice(0, LOADS)) {
      this.waiting.delete(cell)
      void this.show(cell, cell.card!.thumb)
    }
  }

  private async show(cell: Cell<T>, thumb: string): Promise<void> {
    const { signal } = (cell.stop = new AbortController())
    const bitmap = await this.bring(thumb, signal).catch(() => null) // its place stays empty
    if (!bitmap) return
    if (signal.aborted) return bitmap.close()
    cell.canvas.width = bitmap.width
    cell.canvas.height = bitmap.height
    cell.canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap)
    cell.canvas.style.visibility = ''
  }
}
