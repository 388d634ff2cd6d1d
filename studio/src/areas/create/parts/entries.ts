// Lists of a draft whose entries can be put aside: `off` is the page's own, and recipe/asked.ts sends it not.
import { computed, type ComputedRef } from 'vue'

import { useCatalogue } from '@/recipe/catalogue'
import { less, moved } from '@/recipe/lists'
import { fresh, shape } from '@/recipe/schema'

export type Entry = Record<string, unknown> & { off?: boolean }

export interface Entries {
  all: ComputedRef<readonly Entry[]>
  add: (values?: Entry) => void
  copy: (i: number) => void
  remove: (i: number) => void
  move: (i: number, to: number) => void
  set: (i: number, name: string, value: unknown) => void
  change: (i: number, values: Entry) => void
}

/** What can be done with the list at a path of the recipe. */
export function entriesOf(path: string, get: () => unknown, put: (all: readonly Entry[] | undefined) => void): Entries {
  const catalogue = useCatalogue()
  const all = computed(() => (get() ?? []) as readonly Entry[])
  const change = (list: readonly Entry[]) => put(list.length ? list : undefined)
  return {
    all,
    change: (i, values) => change(all.value.map((one, at) => (at === i ? { ...one, ...values } : one))),
    add: (values = {}) => {
      const schema = catalogue.schemaOf(`${path}[]`)
      change([...all.value, { ...(schema ? fresh(shape(schema).schema) : {}), ...values }])
    },
    copy: (i) => change([...all.value.slice(0, i + 1), JSON.parse(JSON.stringify(all.value[i]!)) as Entry, ...all.value.slice(i + 1)]),
    remove: (i) => change(all.value.filter((_, at) => at !== i)),
    move: (i, to) => change(moved(all.value, i, to)),
    set: (i, name, value) =>
      change(
        all.value.map((one, at) => {
          if (at !== i) return one
          const others = less(one, name)
          return value === undefined || (name === 'off' && !value) ? others : { ...others, [name]: value }
        }),
      ),
  }
}
