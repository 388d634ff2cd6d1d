import { afterEach, expect, test, vi } from 'vitest'

import { copy } from './copy'
import { filesOf } from './files'

afterEach(() => {
  vi.unstubAllGlobals()
  document.body.replaceChildren()
})

/** A page over http from another machine: there is no clipboard, but Ctrl+C. */
function plain(lets: boolean): string[] {
  const copied: string[] = []
  vi.stubGlobal('navigator', {})
  document.execCommand = () => {
    const area = document.activeElement as HTMLTextAreaElement
    copied.push(`${area.value} in ${area.parentElement!.tagName}`)
    return lets
  }
  return copied
}

test('where there is no clipboard a text is copied as by Ctrl+C, inside the dialog that has the focus', async () => {
  const copied = plain(true)
  const button = (id: string) => Object.assign(document.createElement('button'), { id })
  const dialog = Object.assign(document.createElement('section'), { role: 'dialog' })
  dialog.append(button('inside'))
  document.body.append(button('outside'), dialog)
  for (const id of ['outside', 'inside']) {
    document.getElementById(id)!.focus()
    await copy(id)
    expect(document.activeElement!.id).toBe(id)
  }
  expect(copied).toEqual(['outside in BODY', 'inside in SECTION'])
  expect(document.querySelector('textarea')).toBeNull()
})

test('that the browser does not let the page is told', async () => {
  plain(false)
  await expect(copy('a word')).rejects.toThrow('Ctrl+C')
})

test('a field that gave its files is empty, so that the same file can be chosen again', () => {
  const file = new File(['x'], 'a.png')
  const field = { files: [file], value: 'C:\\fakepath\\a.png' }
  expect(filesOf({ target: field } as unknown as Event)).toEqual([file])
  expect(field.value).toBe('')
})
