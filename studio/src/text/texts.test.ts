// Both languages say the same things, and every text can be said.
import { expect, test } from 'vitest'

import { i18n, texts } from './words'

const found = import.meta.glob<Record<string, string>>(['../**/*en.json'], { eager: true, import: 'default' })
const other = import.meta.glob<Record<string, string>>(['../**/*zh.json'], { eager: true, import: 'default' })
const files = Object.keys(found)
const values = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort()

test.each(files)('%s has its Chinese', (path) => {
  const en = found[path]!
  const zh = other[path.replace(/en\.json$/, 'zh.json')]
  expect(zh && Object.keys(zh).sort()).toEqual(Object.keys(en).sort())
  for (const [key, text] of Object.entries(en)) {
    expect(zh![key]!.replace(/\{\w+\}/g, ''), key).toMatch(/[\u4e00-\u9fff]|^[^a-z]*$|^[\w .+-]+$/)
    expect(values(zh![key]!), key).toEqual(values(text))
  }
})

test.each(files)('%s can be said', (path) => {
  texts(path, found[path]!, found[path]!)
  for (const key of Object.keys(found[path]!)) {
    const named = Object.fromEntries(values(found[path]![key]!).map((name) => [name.slice(1, -1), 2]))
    const literal = found[path]![key]!.includes("{'{'}") // braces that are meant
    expect(i18n.global.t(`${path}.${key}`, named), key).not.toMatch(literal ? /^$/ : /[{}]|^$/)
  }
})

const pages = import.meta.glob<string>('../**/*.vue', { eager: true, query: '?raw', import: 'default' })

test.each(Object.entries(pages))('%s marks the languages of its texts', (_, page) => {
  const shown = page.replace(/<option[^]*?<\/option>/g, '') // in which nothing can be marked
  expect(shown.match(/\{\{[^}]*\b(t|forms|either|together|nameOf|choiceOf|spoken)\(.*?\}\}/g)).toBeNull() // <Said> does it
})
