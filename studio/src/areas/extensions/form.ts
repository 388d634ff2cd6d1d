// What a panel asks for, as values of a form and as the order that comes of them.
import type { Schemas } from '@/api/client'
import type { Picture } from '@/ui/PictureField.vue'

export type Panel = Schemas['PanelView']
export interface Form {
  values: Record<string, string | number | boolean>
  picture: Picture | null
}

const EMPTY = { text: '', number: 0, switch: false } as const

/** As the panel begins. */
export function begun(panel: Panel): Form {
  const values: Form['values'] = {}
  for (const { name, kind, choices, default: usual } of panel.inputs) {
    if (kind === 'picture') continue
    values[name] = usual ?? (kind === 'choice' ? (choices[0] ?? '') : EMPTY[kind as keyof typeof EMPTY])
  }
  return { values, picture: null }
}

/** The body of `POST /api/v1/extensions/{kind}`; the key makes a second press of a slow button no second order. */
export function order(form: Form, key: string): Schemas['ExtensionOrder'] {
  return { body: { ...form.values }, picture: form.picture?.sha256 ?? null, key }
}
