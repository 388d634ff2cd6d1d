import { expect, test } from 'vitest'

import { settle } from './settle'

test.each(['input', 'textarea'])('a %s that is typed in tells its text, and one goes on typing', (kind) => {
  const field = document.body.appendChild(document.createElement(kind))
  const told: string[] = []
  field.addEventListener('blur', () => told.push('left'))
  field.focus()
  settle()
  expect(told).toEqual(['left'])
  expect(document.activeElement).toBe(field)
  field.remove()
})
