// The pictures that come from one another, as a tree.
export interface Leaf {
  id: string
  parent: string | null
}

export interface Node<C extends Leaf> {
  card: C
  depth: number
}

/** All that comes from `root`, itself first, each before those that were made from it. What leads in a circle is told once. */
export function tree<C extends Leaf>(root: C, others: readonly C[]): Node<C>[] {
  const below = new Map<string, C[]>()
  for (const card of others) if (card.parent) below.set(card.parent, [...(below.get(card.parent) ?? []), card])
  const found: Node<C>[] = []
  const seen = new Set<string>()
  const waiting: Node<C>[] = [{ card: root, depth: 0 }]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { card, depth } = next
    if (seen.has(card.id)) continue
    seen.add(card.id)
    found.push(next)
    for (const child of (below.get(card.id) ?? []).slice().reverse()) waiting.push({ card: child, depth: depth + 1 })
  }
  return found
}
