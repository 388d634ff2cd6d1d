import type { Schemas } from '@/api/client'
import { choiceOf } from '@/recipe/names'
import { BETWEEN, texts } from '@/text/words'

import en from './en.json'
import zh from './zh.json'

export const t = texts('grids', en, zh)

/** The name of an axis: ours where we have one in both languages, else the server's. */
export function nameOf(axis: { name: string; label: string }): string {
  const key = `axis.${axis.name}`
  return key in en ? t(key as keyof typeof en) : axis.label
}

/** "Steps: 2" of the server, in the page's language; `label` is the axis's as the server says it. What is typed stays as it was. */
export function headerOf(header: string, label: string | undefined, axes: readonly Schemas['AxisView'][]): string {
  const axis = axes.find((one) => one.label === label)
  if (!axis || !header.startsWith(`${label}: `)) return header
  const value = header.slice(label!.length + 2)
  return t('header', { name: nameOf(axis), value: axis.choices.includes(value) ? choiceOf(axis.name, value) : value })
}

/** The headers of a side by what is drawn in their place, where that is another text. */
export function drawnOf(headers: readonly string[], axis: Schemas['AxisView'] | undefined, axes: readonly Schemas['AxisView'][]): Record<string, string> {
  const pairs = headers.map((header) => [header, headerOf(header, axis?.label, axes).split(BETWEEN).join(' ')] as const)
  return Object.fromEntries(pairs.filter(([header, drawn]) => header !== drawn))
}

/** What an axis does, where the recipe's own sentences do not tell it. */
export function aboutOf(name: string): string {
  const key = `about.${name}`
  return key in en ? t(key as keyof typeof en) : ''
}
