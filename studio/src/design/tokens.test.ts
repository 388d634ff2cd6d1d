// Contrast of the tokens (WCAG 2.1, 1.4.3 and 1.4.11), in both themes.
import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

const css = readFileSync('src/design/tokens.css', 'utf8')
const tokens = new Map([...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map((m) => [m[1]!, [m[2]!, m[3]!] as const]))

function luminance(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(colour.slice(i, i + 2), 16) / 255
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number]
  return (x + 0.05) / (y + 0.05)
}

const grounds = ['paper', 'sheet', 'well']
const pairs: [string, string, number][] = [
  ...['ink', 'ink-soft', 'seal', 'jade', 'amber', 'bad', 'violet', 'sky'].flatMap((text) => grounds.map((on) => [text, on, 4.5] as [string, string, number])),
  ...grounds.map((on) => ['edge', on, 3] as [string, string, number]),
  ['on-seal', 'seal', 4.5], ['on-seal', 'seal-deep', 4.5], ['bad', 'bad-wash', 4.5], ['ink', 'bad-wash', 4.5],
  ['amber', 'amber-wash', 4.5], ['jade', 'jade-wash', 4.5], ['ink', 'jade-wash', 4.5], ['ink', 'seal-wash', 4.5], ['seal', 'seal-wash', 4.5],
]

test.each(pairs)('%s on %s', (text, on, least) => {
  for (const theme of [0, 1] as const) expect(contrast(tokens.get(text)![theme], tokens.get(on)![theme])).toBeGreaterThanOrEqual(least)
})
