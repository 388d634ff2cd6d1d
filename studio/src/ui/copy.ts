// What is copied. Browsers give a page their clipboard over https and on this machine alone; elsewhere it copies as Ctrl+C would.

/** Put a text into the clipboard; rejects where the browser does not let the page. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const before = document.activeElement
  const area = Object.assign(document.createElement('textarea'), { value: text, readOnly: true, tabIndex: -1 })
  Object.assign(area.style, { position: 'fixed', opacity: '0' })
  const within = before?.closest('[role=dialog]') ?? document.body // a dialog keeps the focus inside
  within.append(area)
  area.focus({ preventScroll: true })
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  if (!done) throw new Error('the browser did not let the page copy: select the text and press Ctrl+C')
}
