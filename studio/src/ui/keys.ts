// Keys that are a whole page's: who else hears them comes first.
import { onBeforeUnmount, onMounted } from 'vue'

import { settle } from './settle'

export const OVER = '[role=dialog], [role=menu]'

/** Whether something lies over the page, to which keys and what is pasted belong: a dialog or an open menu. */
export const isCovered = (): boolean => document.querySelector(OVER) !== null

/** Whether a key is not the page's: it has been used, or belongs to an input method, a dialog or an open menu. */
export function isTaken(event: KeyboardEvent): boolean {
  const within = event.target instanceof Element && event.target.closest(OVER) !== null // which this very key may have closed
  return event.defaultPrevented || event.isComposing || within || isCovered()
}

interface Deeds {
  go: () => void // Ctrl+Enter
  next?: () => boolean // Alt+Enter; whether there was something to do
  stop: () => boolean // Esc
}

/** AUTOMATIC1111's keys, for as long as the area is there; what is being typed counts. */
export function pageKeys({ go, next, stop }: Deeds): void {
  function key(event: KeyboardEvent): void {
    if (isTaken(event)) return
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      settle()
      go()
    } else if (!(event.key === 'Enter' && event.altKey && next?.()) && !(event.key === 'Escape' && stop())) return
    event.preventDefault()
  }
  onMounted(() => addEventListener('keydown', key))
  onBeforeUnmount(() => removeEventListener('keydown', key))
}
