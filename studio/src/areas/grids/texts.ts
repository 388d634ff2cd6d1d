import { texts } from '@/text/words'

import en from './en.json'
import zh from './zh.json'

export const t = texts('grids', en, zh)

/** The name of an axis: ours where we have one in both languages, else the server's. */
export function nameOf(axis: { name: string; label: string }): string {
  const key = `axis.${axis.name}`
  return key in en ? t(key as keyof typeof en) : axis.label
}

/** What an axis does, where the recipe's own sentences do not tell it. */
export function aboutOf(name: string): string {
  const key = `about.${name}`
  return key in en ? t(key as keyof typeof en) : ''
}
