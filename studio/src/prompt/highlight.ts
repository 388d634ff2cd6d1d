// The prompt language, cut into pieces with a colour each. Only looks matter here: the server reads prompts for real.
export type Tint = 'plain' | 'bracket' | 'weight' | 'network' | 'word' | 'choice' | 'escaped'

export interface Piece {
  text: string
  tint: Tint
  depth: number // of brackets around it
}

const NEXT =
  /\\[()[\]{}\\:|]|<\w+:[^<>\n]*>|__[\w/*-]+?__|\bAND\b|\bBREAK\b|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*(?=[)\]])|[()[\]]|[{}|]/g

/** The pieces of a prompt; put together they are the prompt. */
export function pieces(prompt: string): Piece[] {
  const found: Piece[] = []
  let depth = 0
  let at = 0
  for (const match of prompt.matchAll(NEXT)) {
    const text = match[0]
    if (match.index > at) found.push({ text: prompt.slice(at, match.index), tint: 'plain', depth })
    at = match.index + text.length
    if (text === '(' || text === '[') found.push({ text, tint: 'bracket', depth: ++depth })
    else if (text === ')' || text === ']') found.push({ text, tint: 'bracket', depth: depth > 0 ? depth-- : 0 })
    else found.push({ text, tint: tintOf(text), depth })
  }
  if (at < prompt.length) found.push({ text: prompt.slice(at), tint: 'plain', depth })
  return found
}

function tintOf(text: string): Tint {
  if (text.startsWith('\\')) return 'escaped'
  if (text.startsWith('<')) return 'network'
  if (text.startsWith(':')) return 'weight'
  return text === 'AND' || text === 'BREAK' ? 'word' : 'choice'
}
