// The prompt library: written for the studio, a starting set to choose from and to learn by.
import data from './words.json'

export interface Theme {
  name: string
  en: string
  zh: string
  words: readonly (readonly [english: string, chinese: string])[]
}

export const themes = data as unknown as readonly Theme[]
