// The areas of the studio. A folder in areas/ with an index.ts that calls `defineArea` is one; nothing else lists them.
import type { Component } from 'vue'

export interface Area {
  /** Also its folder's name and its address: #/name */
  name: string
  title: { en: string; zh: string }
  icon: Component
  /** Its place in the navigation, from 1. */
  order: number
  load: () => Promise<{ default: Component }>
  /** Whether it is in the bar of a phone; all others are behind More. */
  main?: boolean
  /** Whether only administrators have it. */
  admin?: boolean
  /** Further addresses below its own, such as '/gallery/:picture', shown by the same component. */
  below?: readonly string[]
}

export function defineArea(area: Area): Area {
  return area
}

const found = import.meta.glob<{ default: Area }>('./areas/*/index.ts', { eager: true })

export const areas: readonly Area[] = Object.values(found)
  .map((module) => module.default)
  .sort((a, b) => a.order - b.order)
