// What is typed and not yet saved: whoever goes to another area, or leaves the page, is asked before it is lost.
import { onScopeDispose, readonly, shallowRef } from 'vue'

import { settle } from './settle'

type Unsaved = () => unknown
const guards = new Set<Unsaved>()
const waiting = shallowRef<((leave: boolean) => void) | null>(null)

/** Whether somebody is asked now. */
export const asking = readonly(waiting)

/** In a component: while this holds, leaving would lose something. */
export function keepFromLeaving(unsaved: Unsaved): void {
  guards.add(unsaved)
  onScopeDispose(() => guards.delete(unsaved))
}

function isLost(): boolean {
  settle()
  return [...guards].some((unsaved) => unsaved())
}

/** Whether one may go: at once where nothing would be lost, else as they answer. A second question stands for the first. */
export function mayLeave(): boolean | Promise<boolean> {
  answer(false)
  if (!isLost()) return true
  return new Promise((go) => (waiting.value = go))
}

/** What somebody who was asked has chosen; does nothing where nobody was. */
export function answer(leave: boolean): void {
  const go = waiting.value
  waiting.value = null
  go?.(leave)
}

addEventListener('beforeunload', (event) => isLost() && event.preventDefault()) // the browser asks in its own words
