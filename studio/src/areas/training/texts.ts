import { texts } from '@/text/words'

import en from './en.json'
import zh from './zh.json'

export const t = texts('training', en, zh)

/** What a method is called; those of packages outside have their own name. */
export function methodOf(name: string): string {
  const key = `method.${name}`
  return key in en ? t(key as keyof typeof en) : name
}
