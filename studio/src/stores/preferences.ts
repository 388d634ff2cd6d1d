// How this person likes the studio: kept in this browser. Plain reactive state, as texts need it before Pinia is there.
import { reactive, watch } from 'vue'

import { keep, kept } from './kept'

export type Language = 'en' | 'zh' | 'both'
export type Theme = 'system' | 'light' | 'dark'

export const preferences = reactive(
  kept('preferences', {
    language: (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en') as Language,
    theme: 'system' as Theme,
  }),
)

watch(
  preferences,
  ({ language, theme }) => {
    keep('preferences', preferences)
    document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en'
    if (theme === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
  },
  { immediate: true },
)
