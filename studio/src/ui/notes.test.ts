import { expect, test, vi } from 'vitest'

import { preferences } from '@/stores/preferences'
import { BETWEEN, together } from '@/text/words'

import { dismiss, note, notes } from './notes'

test('a note goes by itself, unless it is to be read in peace', () => {
  vi.useFakeTimers()
  note('taken')
  note('taken, but not all of it', true)
  vi.advanceTimersByTime(60_000)
  expect(notes.map((one) => one.text)).toEqual(['taken, but not all of it'])
  dismiss(notes[0]!.id)
  expect(notes).toEqual([])
  vi.useRealTimers()
})

test('several bilingual texts are one in each language', () => {
  preferences.language = 'both'
  expect(together(`Taken.${BETWEEN}已读取。`, `One is unknown.${BETWEEN}有一项未知。`)).toBe(`Taken. One is unknown.${BETWEEN}已读取。 有一项未知。`)
  expect(together('Only English.')).toBe('Only English.')
  preferences.language = 'en'
})
