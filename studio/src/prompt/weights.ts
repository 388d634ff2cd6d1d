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
const NETWORK = new RegExp(String.raw`^(\w+:[^:]+):(${NUMBER})((?::.*)?)$`, 's')
const WEIGHTED = new RegExp(String.raw`^(.*):(${NUMBER})$`, 's')
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '<': '>' }
const WORD = /[^\s,()[\]<>:|{}\\.;!?/，。；：！？、]/

/** The weight of the selection, of the brackets around it, or of the word at the cursor, made larger (`up`) or smaller. */
export function reweigh({ text, start, end }: Edited, up: boolean): Edited {
  const step = up ? STEP : -STEP
  const pair = enclosing(text, start, end)
  if (pair && text[pair.open] === '<') {
    const [, network, number, more] = NETWORK.exec(text.slice(pair.open + 1, pair.close)) ?? []
    if (!network) return { text, start, end }
    return put(text, pair, '<', `${network}:${rounded(Number(number) + (up ? NETWORK_STEP : -NETWORK_STEP))}${more}`, '>')
  }
  const found = pair && emphasis(text, pair)
  if (found) return weighed(text, found, found.words, found.weight + step)
  let [from, to] = [start, end]
  if (from === to) {
    while (from > 0 && WORD.test(text[from - 1]!)) from--
    while (to < text.length && WORD.test(text[to]!)) to++
  }
  while (to > from && text[to - 1] === ' ') to--
  if (from === to) return { text, start, end }
  return weighed(text, { open: from, close: to - 1 }, text.slice(from, to), 1 + step)
}

/** Where two brackets are that belong together. */
interface Pair {
  open: number
  close: number
}

/** The innermost brackets around the cursor, or those whose inside is all of the selection; what is escaped is no bracket. */
function enclosing(text: string, start: number, end: number): Pair | null {
  const opened: number[] = []
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!
    if (sign === '\\') at++
    else if (sign in CLOSING) opened.push(at)
    else {
      const depth = opened.map((one) => CLOSING[text[one]!]).lastIndexOf(sign)
      if (depth < 0) continue
      const open = opened[depth]!
      opened.length = depth // what was opened inside and not closed is no bracket
      if (start === end ? open < start && end <= at : within(text, open, at, start, end)) return { open, close: at }
    }
  }
  return null
}

/** Whether the selection is all that a pair has in it, with its brackets or without; of a network any part of it will do. */
function within(text: string, open: number, close: number, start: number, end: number): boolean {
  if (start === open && end === close + 1) return true
  if (text[open] === '<') return open < start && end <= close
  const words = WEIGHTED.exec(text.slice(open + 1, close))?.[1]?.length ?? close - open - 1
  return start === open + 1 && end === start + words
}

/** What brackets weigh: (red:1.2) what it says, ((red)) 1.1 twice, [red] as much less; null where they say something else. */
function emphasis(text: string, { open, close }: Pair): (Pair & { words: string; weight: number }) | null {
  const [round, inside] = [text[open] === '(', text.slice(open + 1, close)]
  const [, words, number] = (round && WEIGHTED.exec(inside)) || []
  if (words !== undefined) return { open, close, words, weight: Number(number) }
  if (!round && /[:|]/.test(inside)) return null // a change at a step, or turns
  let depth = 1
  while (text[open - depth] === text[open] && text[close + depth] === text[close] && text[open - depth - 1] !== '\\') depth++
  const weight = Math.round((round ? 1.1 : 1 / 1.1) ** depth / STEP) * STEP
  return { open: open - depth + 1, close: close + depth - 1, words: inside, weight }
}

/** Words in place of what is there from `open` to `close`, with their weight. */
function weighed(text: string, pair: Pair, words: string, weight: number): Edited {
  const number = rounded(weight)
  if (number === 1) return put(text, pair, '', words, '')
  const made = put(text, pair, '(', `${words}:${number}`, ')')
  return { ...made, end: made.start + words.length }
}

/** Something in place of what is there from `open` to `close`; all but its brackets is selected. */
function put(text: string, { open, close }: Pair, before: string, by: string, after: string): Edited {
  const start = open + before.length
  return { text: text.slice(0, open) + before + by + after + text.slice(close + 1), start, end: start + by.length }
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

const parts = (words: string) => words.split(',').map((one) => one.trim()).filter(Boolean)

/** A prompt with all of these words, which are between commas, at its end: those that are there already stay where they are. */
export function withWords(prompt: string, words: string): string {
  return parts(words).reduce((text, word) => (has(text, word) ? text : toggled(text, word)), prompt)
}

/** A prompt with none of these words. */
export function withoutWords(prompt: string, words: string): string {
  return parts(words).reduce((text, word) => (has(text, word) ? toggled(text, word) : text), prompt)
}
