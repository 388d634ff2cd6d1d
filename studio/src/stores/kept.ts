// What this browser remembers: of a form the tab's own state, else the newest of any tab; lists are one for all tabs. Where the server has
// accounts each person has their own. What was kept may be of another version, or broken: unknown and ill-typed parts are dropped.
import { reactive } from 'vue'

import { session } from './who'

const EVERYBODYS: readonly string[] = ['preferences', 'tags'] // needed before it is known who asks

/** Where it is kept. Nothing is asked for before the session is known, and another person's begins with a reload. */
function place(name: string): string {
  const who = session.value?.accounts && !EVERYBODYS.includes(name) ? `${session.value.name}/` : ''
  return `fromnoise.${who}${name}`
}

/** `initial`, with the parts that were kept under this name and are of the same type. */
export function kept<T extends object>(name: string, initial: T): T {
  return fitting(read(() => sessionStorage, name) ?? read(() => localStorage, name), initial)
}

function fitting<T extends object>(found: unknown, initial: T): T {
  if (found === null || typeof found !== 'object' || Array.isArray(found)) return initial
  const known = Object.entries(found).filter(([key, value]) => {
    const now = (initial as Record<string, unknown>)[key]
    return key in initial && (now === null || (typeof value === typeof now && Array.isArray(value) === Array.isArray(now)))
  })
  return { ...initial, ...Object.fromEntries(known) }
}

/** `store`: reading a forbidden storage fails, too. */
function read(store: () => Storage, name: string): unknown {
  try {
    return JSON.parse(store().getItem(place(name)) ?? 'null')
  } catch {
    return null
  }
}

/** Keep something; a full or forbidden storage is no reason to stop. */
export function keep(name: string, value: unknown): void {
  write(() => sessionStorage, name, value)
  write(() => localStorage, name, value)
}

function write(store: () => Storage, name: string, value: unknown): void {
  try {
    store().setItem(place(name), JSON.stringify(value))
  } catch {
    console.warn(`the browser keeps nothing for ${name}`)
  }
}

/** The same for what all tabs have in common: what another tab keeps is here at once, so that none overwrites it. */
export function shared<T extends object>(name: string, initial: T): T {
  const state = reactive(fitting(read(() => localStorage, name), initial))
  addEventListener('storage', ({ key }) => {
    if (key === place(name)) Object.assign(state, fitting(read(() => localStorage, name), initial))
  })
  return state as T
}

export function share(name: string, value: unknown): void {
  write(() => localStorage, name, value)
}
