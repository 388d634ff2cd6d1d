// How this person likes the studio: kept in this browser. Plain reactive state, as texts need it before Pinia is there.
import { watch } from 'vue'

import { share, shared } from './kept'

export type Language = 'en' | 'zh' | 'both'
export type Theme = 'system' | 'light' | 'dark'

export const preferences = shared('preferences', {
  language: (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en') as Language,
  theme: 'system' as Theme,
  notify: false, // whether the browser tells when what was asked for is there
})

watch(
  preferences,
  ({ language, theme }) => {
    share('preferences', preferences)
    document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en'
    if (theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
  },
  { immediate: true },
)
