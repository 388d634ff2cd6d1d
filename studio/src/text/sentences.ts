// What the server tells in English, in Chinese: sentences with {names} in them, as it gives them. As cli/messages.py does it.
import { shallowRef, watch } from 'vue'

import { preferences } from '@/stores/preferences'

import { either } from './words'

interface Sentence {
  pattern: RegExp
  zh: string
}
const OWN: Readonly<Record<string, string>> = {
  'the server does not answer: is it still running?': '服务器没有响应：它还在运行吗？',
  'the browser did not let the page copy: select the text and press Ctrl+C': '浏览器不允许页面复制：请选中文字后按 Ctrl+C',
}
const known = shallowRef<readonly Sentence[]>(read(OWN))
let asked = false

/** Take the table: the first sentence that fits is the one. */
export function learn(table: Readonly<Record<string, string>>): void {
  known.value = read({ ...OWN, ...table })
}

function read(table: Readonly<Record<string, string>>): Sentence[] {
  return Object.entries(table).map(([en, zh]) => ({ pattern: patternOf(en), zh }))
}

function patternOf(sentence: string): RegExp {
  const parts = sentence.split(/\{(\w+)\}/)
  const escaped = parts.map((part, i) => (i % 2 ? `(?<${part}>.+?)` : part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')))
  return new RegExp(`^${escaped.join('')}$`, 'is')
}

/** A sentence of the server in Chinese, with the sentences inside it; unchanged where it is not known. */
export function inChinese(sentence: string): string {
  for (const { pattern, zh } of known.value) {
    const found = pattern.exec(sentence)
    if (found) return zh.replace(/\{(\w+)\}/g, (_, name: string) => inside(found.groups?.[name] ?? ''))
  }
  const [what, ...rest] = sentence.split(': ')
  const told = rest.length ? inChinese(rest.join(': ')) : ''
  return told && told !== rest.join(': ') ? `${what}：${told}` : sentence
}
const inside = (value: string) => (value.includes(' ') ? inChinese(value) : value)

/** A sentence of the server in the language of the moment, in bilingual mode in both. */
export function spoken(sentence: string): string {
  return preferences.language === 'en' ? sentence : either(sentence, inChinese(sentence))
}

/** Have the table as soon as somebody reads Chinese; without it they read English. */
export function follow(ask: () => Promise<Readonly<Record<string, string>>>): void {
  watch(
    () => preferences.language,
    (language) => {
      if (language === 'en' || asked) return
      asked = true
      ask().then(learn, () => (asked = false))
    },
    { immediate: true },
  )
}
