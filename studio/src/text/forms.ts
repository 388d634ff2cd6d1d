import en from './forms.en.json'
import zh from './forms.zh.json'
import { texts } from './words'

export const t = texts('forms', en, zh)
