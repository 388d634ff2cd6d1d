// Texts in English and Chinese. An area says what it says with `const t = texts('area', en, zh)`; `t('key')` is reactive.
import { createI18n } from 'vue-i18n'

import { preferences } from '@/stores/preferences'

export type Texts = Readonly<Record<string, string>>
export type Values = Readonly<Record<string, string | number>>
export type Say<K extends string> = (key: K, values?: Values) => string

/** Stands between the English and the Chinese of a bilingual text; `<Said>` shows the two apart. */
export const BETWEEN = ' \u2063'

export const i18n = createI18n({
  legacy: false,
  locale: 'en',
  messages: { en: {}, zh: {} } as Record<'en' | 'zh', Record<string, string>>,
  messageResolver: (messages, key) => (messages as Record<string, string>)[key] ?? null,
})

/** A function that says an area's texts in the language of the moment. Both languages must have the same keys. */
export function texts<const E extends Texts>(area: string, en: E, zh: { [K in keyof E]: string }): Say<keyof E & string> {
  const named = (messages: Texts) => Object.fromEntries(Object.entries(messages).map(([key, text]) => [`${area}.${key}`, text]))
  i18n.global.mergeLocaleMessage('en', named(en))
  i18n.global.mergeLocaleMessage('zh', named(zh))
  return (key, values = {}) => said(`${area}.${key}`, values)
}

function said(key: string, values: Values): string {
  if (preferences.language !== 'both') return inOne(preferences.language, key, values)
  return inBoth(inOne('en', key, halves(values, 0)), inOne('zh', key, halves(values, 1)))
}

/** Of values that are bilingual texts themselves the part in one of the languages. */
function halves(values: Values, which: 0 | 1): Values {
  const half = (value: string | number) => (typeof value === 'string' && value.includes(BETWEEN) ? value.split(BETWEEN)[which]! : value)
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, half(value)]))
}

function inOne(locale: 'en' | 'zh', key: string, values: Values): string {
  const options = typeof values.n === 'number' ? { locale, plural: values.n } : { locale }
  return i18n.global.t(key, values as Record<string, unknown>, options)
}

/** Text that the server gives in both languages, such as what a sampler is good for. */
export function either(en: string, zh: string): string {
  if (preferences.language === 'both') return inBoth(en, zh)
  return preferences.language === 'zh' ? zh || en : en
}

/** Several texts as one, each language with its own. */
export function together(...all: readonly string[]): string {
  const parts = all.map((text) => text.split(BETWEEN))
  const one = (language: 0 | 1) => parts.map((part) => part[language] ?? part[0]).join(' ')
  return inBoth(one(0), one(1))
}

/** A day as it is written in the language of the moment; from seconds since 1970. */
export function dayOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleDateString(written())
}

/** The same with the time of the day. */
export function momentOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(written())
}

/** The time of the day alone. */
export function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString(written())
}

const written = () => (preferences.language === 'en' ? undefined : 'zh-CN')

function inBoth(en: string, zh: string): string {
  return en === zh || !zh ? en : en + BETWEEN + zh
}
