// What prompts can be completed with: networks and embeddings on the shelves, wildcards, and the library's words.
import { computed, ref, type ComputedRef } from 'vue'

import { api, call } from '@/api/client'
import { useCatalogue } from '@/recipe/catalogue'
import { t } from '@/text/forms'

import type { Sources } from './complete'
import { themes } from './library/library'

export function useSources(): ComputedRef<Sources> {
  const catalogue = useCatalogue()
  const wildcards = ref<string[]>([])
  call(api.GET('/api/v1/wildcards')).then(
    (found) => (wildcards.value = found.map((one) => one.name)),
    () => undefined, // completion does without them
  )
  const library = themes.flatMap((theme) => theme.words.map(([en, zh]) => ({ insert: en, label: en, about: zh, languages: ['en', 'zh-Hans'] as const })))
  return computed(() => ({
    networks: [
      ...catalogue.ofKind('loras').map((card) => ({
        insert: [`<lora:${card.name}:${card.weight ?? 1}>`, ...card.trigger_words.slice(0, 1)].join(' '),
        label: card.name,
        about: ['LoRA', card.title, ...card.trigger_words].filter(Boolean).join(' · '),
      })),
      ...catalogue.ofKind('hypernetworks').map((card) => ({ insert: `<hypernet:${card.name}:1>`, label: card.name, about: t('offer.hypernetwork') })),
    ],
    words: [...catalogue.ofKind('embeddings').map((card) => ({ insert: card.name, label: card.name, about: t('offer.embedding') })), ...library],
    wildcards: wildcards.value.map((name) => ({ insert: `__${name}__`, label: name, about: t('offer.wildcard') })),
  }))
}
