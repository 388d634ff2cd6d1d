// The values of an axis as text: a list between commas, in which quotes keep a comma.

export interface Axis {
  name: string
  values: string
}

export const NO_AXIS = 'nothing'
export const SIDES = ['x', 'y', 'z'] as const

/** Words as one list: `a, "b, c"`. */
export function joined(words: readonly string[]): string {
  return words.map((word) => (/[",\n]/.test(word) || word !== word.trim() ? `"${word.replaceAll('"', '""')}"` : word)).join(', ')
}

/** The words of a list. Outer blanks go; a quote that is not closed goes to the end. */
export function parted(text: string): string[] {
  const found: string[] = []
  let word = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!
    if (quoted) {
      if (letter !== '"') word += letter
      else if (text[i + 1] === '"') word += text[++i]
      else quoted = false
    } else if (letter === '"' && !word.trim()) {
      word = ''
      quoted = true
    } else if (letter === ',' || letter === '\n') {
      found.push(word)
      word = ''
    } else word += letter
  }
  return [...found, word].map((one) => one.trim()).filter(Boolean)
}

/** The list with a word more, or less where it has it. */
export function toggled(text: string, word: string): string {
  const words = parted(text)
  const same = (one: string) => one.toLowerCase() === word.toLowerCase()
  return joined(words.some(same) ? words.filter((one) => !same(one)) : [...words, word])
}

/** Whether the list has the word. */
export function has(text: string, word: string): boolean {
  return parted(text).some((one) => one.toLowerCase() === word.toLowerCase())
}
