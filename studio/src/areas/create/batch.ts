// Many start pictures at once, as AUTOMATIC1111's Batch tab has them: which mask belongs to which picture, how large each becomes, and
// what each says of itself.
import { api, asProblem, call, type Schemas } from '@/api/client'

import type { SentPicture } from './draft'

export const MOST = 1000 // pictures of one batch
const KINDS = ['image/png', 'image/jpeg', 'image/webp'] // that the server takes
const LONGEST = 60 // seconds that the server may ask to wait

/** How large further pictures become: as many pixels as the first, each its own size so many times, or all as large as the first. */
export const SIZES = ['pixels', 'own', 'same'] as const
export type Sizes = (typeof SIZES)[number]

/** What a picture can say of itself in place of the draft (PNG info); prompts follow those of the draft. */
export const SAID = ['prompt', 'negative', 'seed', 'steps', 'guidance_scale', 'sampler', 'model'] as const
export type Said = Partial<Record<(typeof SAID)[number], string | number>>

/** A file of this computer or of the server's, not yet taken. */
export interface Source {
  name: string // below the folder that was chosen
  take: () => Promise<Schemas['ReadPicture']>
}

// names
const slashed = (name: string) => name.replaceAll('\\', '/').normalize().toLowerCase()
const without = (name: string) => slashed(name).replace(/\.[^./]+$/, '')
const last = (name: string) => name.replace(/^.*\//, '')

/** The mask of each picture: that of the same name in the same place, else of the same name anywhere, whatever its ending. A single one is for all. */
export function matched<M extends { name?: string }>(pictures: readonly { name?: string }[], masks: readonly M[]): { of: (M | undefined)[]; lone: M[] } {
  if (masks.length === 1) return { of: pictures.map(() => masks[0]), lone: [] }
  const places = new Map(masks.map((mask) => [without(mask.name ?? ''), mask]))
  const names = new Map(masks.map((mask) => [last(without(mask.name ?? '')), mask]))
  const of = pictures.map(({ name = '' }) => places.get(without(name)) ?? names.get(last(without(name))))
  return { of, lone: masks.filter((mask) => !of.includes(mask)) }
}

/** Files that were chosen or dropped, as sources; and the names of those that are no pictures. */
export function sourcesOf(files: Iterable<File>): { pictures: Source[]; others: string[] } {
  const named = [...files].map((file) => ({ file, name: (file.webkitRelativePath || file.name).replace(/^[^/]*\//, '') }))
  const seen = named.filter(({ name }) => !last(name).startsWith('.'))
  const pictures = seen.filter(({ file }) => KINDS.includes(file.type))
  return {
    pictures: pictures
      .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
      .map(({ file, name }) => ({ name, take: () => call(api.POST('/api/v1/read', { body: file as unknown as string, bodySerializer: (it: unknown) => it as Blob })) })),
    others: seen.filter(({ file }) => !KINDS.includes(file.type)).map(({ name }) => name),
  }
}

/** Those in a folder on the server's machine, which administrators may look into. Throws a Problem. */
export async function sourcesIn(folder: string): Promise<{ pictures: Source[]; others: string[] }> {
  const found = await call(api.POST('/api/v1/folder', { body: { folder } }))
  const take = (name: string) => () => call(api.POST('/api/v1/folder/read', { body: { folder, name } }))
  return { pictures: found.pictures.map((name) => ({ name, take: take(name) })), others: found.others }
}

/** Take them one after the other. `each` is told of every one, and says whether to go on; what failed is told by name. */
export async function takeAll(sources: readonly Source[], each: (done: number, picture: SentPicture | null) => Promise<boolean>): Promise<string[]> {
  const failed: string[] = []
  for (const [i, { name, take }] of sources.entries()) {
    let picture: SentPicture | null = null
    try {
      const { sha256, width, height, recipe } = await patiently(take)
      picture = { sha256, width, height, name, ...(recipe ? { said: saidIn(recipe) } : {}) }
    } catch (error) {
      failed.push(`${name}: ${asProblem(error).message}`)
    }
    if (!(await each(i + 1, picture))) break
  }
  return failed
}

/** Ask once more after as long as the server wants: it takes so many pictures in a minute. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const { kind, retryAfter } = asProblem(error)
      if (kind !== 'rate' || retryAfter === null || retryAfter > LONGEST) throw error
      await new Promise((go) => setTimeout(go, retryAfter * 1000))
    }
  }
}

function saidIn(recipe: Readonly<Record<string, unknown>>): Said {
  return Object.fromEntries(SAID.map((name) => [name, recipe[name]]).filter(([, value]) => (typeof value === 'string' && value) || typeof value === 'number'))
}

/** A recipe with what its picture says of itself. `seed` makes the seed of it. */
export function saying(recipe: Record<string, unknown>, said: Said | undefined, wanted: readonly string[], seed: (first: string) => unknown): Record<string, unknown> {
  if (!said) return recipe
  const made = { ...recipe }
  for (const name of SAID) {
    const value = said[name]
    if (value === undefined || !wanted.includes(name)) continue
    if (name === 'prompt' || name === 'negative') made[name] = [recipe[name], value].filter(Boolean).join(', ')
    else made[name] = name === 'seed' ? seed(String(value)) : value
  }
  return made
}
