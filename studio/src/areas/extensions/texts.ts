import { texts } from '@/text/words'

import en from './en.json'
import zh from './zh.json'

export const t = texts('extensions', en, zh)
