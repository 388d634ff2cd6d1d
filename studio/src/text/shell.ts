// The texts of the frame around all areas.
import en from './shell.en.json'
import zh from './shell.zh.json'
import { texts } from './words'

export const t = texts('shell', en, zh)
