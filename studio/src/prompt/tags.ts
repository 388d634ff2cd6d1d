// Networks that a prompt names: <lora:name:0.8>, <hypernet:name:1>, with their strength.
export interface Tag {
  kind: 'lora' | 'hypernet'
  name: string
  strength: number // 1 where it is not said
  start: number // its place in the prompt
  end: number
  rest: string // further values, such as ":start=3"
}

const TAG = /<(lora|lyco|hypernet):([^:<>\n]+)(?::([+-]?(?:\d+\.?\d*|\.\d+)))?((?::[^<>\n]*)?)>/g

export function tagsIn(prompt: string): Tag[] {
  return [...prompt.matchAll(TAG)].map((found) => ({
    kind: found[1] === 'hypernet' ? 'hypernet' : 'lora',
    name: found[2]!,
    strength: found[3] === undefined ? 1 : Number(found[3]),
    start: found.index,
    end: found.index + found[0].length,
    rest: found[4] ?? '',
  }))
}

/** The prompt with a tag of another strength. */
export function withStrength(prompt: string, tag: Tag, strength: number): string {
  return `${prompt.slice(0, tag.start)}<${tag.kind}:${tag.name}:${Math.round(strength * 100) / 100}${tag.rest}>${prompt.slice(tag.end)}`
}

/** The prompt without a tag, and without the space that it leaves. */
export function without(prompt: string, tag: Tag): string {
  const before = prompt.slice(0, tag.start).replace(/[ ,]+$/, '')
  const after = prompt.slice(tag.end)
  return `${before}${before ? after.replace(/^ +(?=,|$)/, '') : after.replace(/^[ ,]+/, '')}`.trim()
}

/** The same, and without these words where they stand right behind it. */
export function withoutBoth(prompt: string, tag: Tag, words: string): string {
  const after = prompt.slice(tag.end)
  const behind = after.trimStart()
  const are = words !== '' && behind.startsWith(words) && /^\s*(,|$)/.test(behind.slice(words.length))
  return without(prompt, are ? { ...tag, end: prompt.length - behind.length + words.length } : tag)
}

/** The prompt with something at its end. */
export function appended(prompt: string, words: string): string {
  const before = prompt.trimEnd().replace(/,$/, '')
  return before ? `${before}, ${words}` : words
}
