// AUTOMATIC1111's keys in the prompt: Ctrl+Up and Ctrl+Down change the weight of a word or of what is selected, Alt+Left and
// Alt+Right move the part between commas.
export interface Edited {
  text: string
  start: number // of the selection
  end: number
}

const STEP = 0.1
const NETWORK_STEP = 0.05
const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`
const NETWORK = new RegExp(String.raw`<(\w+:[^<>:\n]+):(${NUMBER})((?::[^<>\n]*)?)>`, 'g')
const WEIGHTED = new RegExp(String.raw`\(([^()\n]*):(${NUMBER})\)`, 'g')
const WORD = /[^\s,()[\]<>:|{}]/

/** The weight of the selection, or of the word at the cursor, made larger (`up`) or smaller. */
export function reweigh({ text, start, end }: Edited, up: boolean): Edited {
  const network = around(text, NETWORK, start, end)
  if (network) {
    const weight = rounded(Number(network[2]) + (up ? NETWORK_STEP : -NETWORK_STEP))
    return put(text, network, `<${network[1]}:${weight}${network[3] ?? ''}>`)
  }
  const weighted = around(text, WEIGHTED, start, end)
  if (weighted) {
    const weight = rounded(Number(weighted[2]) + (up ? STEP : -STEP))
    const words = weighted[1]!
    const whole = weight === 1 ? words : `(${words}:${weight})`
    const from = weighted.index + (weight === 1 ? 0 : 1)
    return { ...put(text, weighted, whole), start: from, end: from + words.length }
  }
  let [from, to] = [start, end]
  if (from === to) {
    while (from > 0 && WORD.test(text[from - 1]!)) from--
    while (to < text.length && WORD.test(text[to]!)) to++
  }
  while (to > from && text[to - 1] === ' ') to--
  if (from === to) return { text, start, end }
  const weight = rounded(1 + (up ? STEP : -STEP))
  const changed = `${text.slice(0, from)}(${text.slice(from, to)}:${weight})${text.slice(to)}`
  return { text: changed, start: from + 1, end: to + 1 }
}

function around(text: string, pattern: RegExp, start: number, end: number): RegExpExecArray | null {
  for (const match of text.matchAll(pattern)) if (match.index <= start && end <= match.index + match[0].length) return match
  return null
}

function put(text: string, match: RegExpExecArray, by: string): Edited {
  const end = match.index + by.length
  return { text: text.slice(0, match.index) + by + text.slice(match.index + match[0].length), start: match.index, end }
}

function rounded(weight: number): number {
  return Math.round(weight * 100) / 100
}

/** The part between commas at the cursor, changed places with its neighbour. */
export function moveElement({ text, start, end }: Edited, right: boolean): Edited {
  const parts = text.split(',')
  let begin = 0
  const index = parts.findIndex((part) => {
    if (start <= begin + part.length) return true
    begin += part.length + 1
    return false
  })
  const other = index + (right ? 1 : -1)
  if (index < 0 || other < 0 || other >= parts.length) return { text, start, end }
  const [mine, theirs] = [parts[index]!, parts[other]!]
  parts[index] = spaced(mine, theirs)
  parts[other] = spaced(theirs, mine)
  const changed = parts.join(',')
  const at = parts.slice(0, other).reduce((sum, part) => sum + part.length + 1, 0) + (/^\s*/.exec(parts[other]!)?.[0].length ?? 0)
  return { text: changed, start: at, end: at + mine.trim().length }
}

/** The words of one part with the space around another. */
function spaced(space: string, words: string): string {
  const [, before = '', after = ''] = /^(\s*).*?(\s*)$/s.exec(space) ?? []
  return before + words.trim() + after
}

/** A part added to a prompt, or taken out where it is there. */
export function toggled(prompt: string, part: string): string {
  const parts = prompt.split(',')
  const kept = parts.filter((one) => one.trim() !== part)
  if (kept.length < parts.length) return kept.join(',').trim()
  const before = prompt.trimEnd().replace(/,$/, '')
  return before ? `${before}, ${part}` : part
}

/** Whether a part is there already. */
export function has(prompt: string, part: string): boolean {
  return prompt.split(',').some((one) => one.trim() === part)
}
