/** What is being typed counts, though its field was not left: a key is told before the field's change is. */
export function settle(): void {
  const field = document.activeElement
  if (!(field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement)) return
  field.blur()
  field.focus()
}
