// The pictures that were given to Extras, and what was asked of them: a look at another area loses nothing, nor does a reload.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, watch } from 'vue'

import { api, asProblem, call, pictureAt, Problem, type Schemas } from '@/api/client'
import { cuts } from '@/recipe/cuts'
import { FINISHED, useJobs } from '@/stores/jobs'
import { keep, kept } from '@/stores/kept'

import { enlargement, settings } from './enlarge'

export type Deed = 'enlarge' | 'verify' | 'caption' | 'hint' | 'cut'
export interface Given {
  name: string
  picture: Schemas['ReadPicture']
  seen: string // where the browser has it
}
/** Work that was asked for, and the name of the picture that it is of. */
interface Asked {
  job: string
  name: string
}
type Errand = Schemas['ErrandOrder']['work']
/** A picture that is yet to be read. */
interface Source {
  name: string
  read: () => Promise<Given['picture']>
  seen: (sha256: string) => string
}
const imageAt = (sha256: string) => `/api/v1/images/${sha256}`
const MOST_KEPT = 400_000 // characters of what is written in pictures; beyond that it is to be read again

export const useExtras = defineStore('extras', () => {
  const jobs = useJobs()
  const before = kept('extras', { deed: 'enlarge' as Deed, by: 'wd14', preprocessor: 'canny', larger: enlargement(), cuts: cuts(), asked: [] as Asked[] })
  const form = reactive({ ...before, larger: { ...enlargement(), ...before.larger }, cuts: { ...cuts(), ...before.cuts } })
  watch(form, () => keep('extras', form))
  const given = shallowRef<readonly Given[]>(
    kept('extras.given', { all: [] as Omit<Given, 'seen'>[] }).all.map((one) => ({ ...one, seen: imageAt(one.picture.sha256) })),
  )
  watch(given, () => keep('extras.given', { all: small(given.value) }))
  const at = ref(0) // the one that is looked at
  const problem = ref<unknown>(null)
  const busy = ref(false)
  const reading = ref<{ done: number; of: number } | null>(null)
  const working = computed(() => form.asked.some(({ job }) => !FINISHED.includes(jobs.known.get(job)?.state ?? 'done')))

  /** Results of before a reload; what the server has forgotten is left out. */
  async function restore(): Promise<void> {
    const missing = form.asked.filter(({ job }) => !jobs.known.has(job) || (jobs.known.get(job)?.state === 'done' && !jobs.results.has(job)))
    const gone = new Set<string>()
    for (const { job } of missing) await jobs.refresh(job).catch((error: unknown) => asProblem(error).status === 404 && gone.add(job))
    if (gone.size) form.asked = form.asked.filter(({ job }) => !gone.has(job))
  }

  /** A picture of the gallery. Throws a Problem. */
  async function fetchPicture(picture: string): Promise<void> {
    const view = await call(api.GET('/api/v1/gallery/{picture}', { params: { path: { picture } } }))
    await take([new File([await pictureAt(view.url)], view.name)])
  }

  let turn = 0
  /** Read pictures, in place of those before; what could not be read is told. */
  async function takeAll(all: readonly Source[]): Promise<void> {
    if (!all.length) return
    problem.value = null
    form.asked = []
    const own = ++turn
    reading.value = { done: 0, of: all.length }
    const found: Given[] = []
    for (const { name, read, seen } of all) {
      try {
        const picture = await read()
        found.push({ name, picture, seen: seen(picture.sha256) })
      } catch (error) {
        problem.value = all.length > 1 ? new Problem('picture', `${name}: ${asProblem(error).message}`) : error
      }
      if (own !== turn) return // others were given meanwhile
      if (!reading.value) break // stopped: what was read is there
      reading.value.done += 1
    }
    reading.value = null
    if (!found.length) return
    for (const one of given.value) if (one.seen.startsWith('blob:')) URL.revokeObjectURL(one.seen)
    given.value = found
    at.value = 0
  }

  const take = (files: FileList | readonly File[] | null | undefined): Promise<void> =>
    takeAll(
      [...(files ?? [])].map((file) => ({
        name: file.name,
        read: () => call(api.POST('/api/v1/read', { body: file as unknown as string, bodySerializer: (it: unknown) => it as Blob })),
        seen: () => URL.createObjectURL(file),
      })),
    )

  /** The pictures in a folder on the server's machine: administrators may look there. How many there are; of these the first thousand. */
  async function takeFolder(folder: string): Promise<number> {
    const { pictures, more } = await call(api.POST('/api/v1/folder', { body: { folder } }))
    await takeAll(pictures.map((name) => ({ name, read: () => call(api.POST('/api/v1/folder/read', { body: { folder, name } })), seen: imageAt })))
    return pictures.length + more
  }

  function errand({ sha256: picture, texts, losses }: Given['picture']): Errand {
    if (form.deed === 'verify') return { kind: 'verify', picture, texts: texts ?? {}, losses: losses ?? null }
    if (form.deed === 'caption') return { kind: 'caption', picture, by: form.by }
    if (form.deed === 'hint') return { kind: 'preprocess', picture, preprocessor: form.preprocessor, parameters: {} }
    if (form.deed === 'cut') return { kind: 'cut', picture, settings: form.cuts }
    return { kind: 'upscale', picture, settings: settings(form.larger) }
  }

  /** The deed, with every picture that was given. */
  async function go(): Promise<void> {
    if (!given.value.length || busy.value || working.value || reading.value) return
    problem.value = null
    form.asked = []
    busy.value = true
    try {
      for (const { name, picture } of given.value) {
        const { id } = await jobs.errand(errand(picture))
        form.asked = [...form.asked, { job: id, name }]
      }
    } catch (error) {
      problem.value = error
    } finally {
      busy.value = false
    }
  }

  /** Nothing more of what is read or worked on. Whether there was something. */
  function stop(): boolean {
    const open = form.asked.filter(({ job }) => !FINISHED.includes(jobs.known.get(job)?.state ?? 'done'))
    const any = open.length > 0 || reading.value !== null
    reading.value = null
    Promise.all(open.map(({ job }) => jobs.act(job, 'cancel'))).catch((error: unknown) => (problem.value = error))
    return any
  }

  return { form, given, at, problem, busy, reading, working, restore, fetchPicture, take, takeFolder, go, stop }
})

/** As much as the browser can keep: the largest texts are left out. */
function small(all: readonly Given[]): Omit<Given, 'seen'>[] {
  let room = MOST_KEPT
  return all.map(({ name, picture }) => {
    room -= JSON.stringify(picture).length
    return { name, picture: room < 0 ? { ...picture, texts: {}, not_understood: {} } : picture }
  })
}
