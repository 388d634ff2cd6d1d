// Files that were chosen in a field of the page.

/** Those of the event. The field is emptied, so that the same file can be chosen again: after it failed, or was taken away. */
export function filesOf(event: Event): File[] {
  const field = event.target as HTMLInputElement
  const files = [...(field.files ?? [])]
  field.value = ''
  return files
}
