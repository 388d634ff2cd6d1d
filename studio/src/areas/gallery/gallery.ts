// The pictures that are looked for: loaded page by page as they are scrolled to, and kept while the page is open.
import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef, watch, type Ref } from 'vue'

import { api, call, type Schemas } from '@/api/client'
import { keep, kept } from '@/stores/kept'
import { useJobs } from '@/stores/jobs'
import { complain } from '@/ui/notes'

export type Card = Schemas['Card']
export type Facets = Schemas['Facets']
type Change = Omit<Schemas['Change'], 'pictures'>

const FIRST = 200 // pictures that are asked for at first, and ...
const PAGE = 500 // ... at each later time
const PATIENCE = 250 // milliseconds after the last key, or the last job
const DAY = 86_400
export const AT_ONCE = 1000 // pictures that one call names

export const ALL = {
  words: '',
  model: '',
  sampler: '',
  album: '',
  tag: '',
  lora: '',
  source: '',
  owner: '',
  since: '',
  until: '',
  favourite: false,
  deleted: false,
}
export type Filters = typeof ALL

/** What the server is asked for. Days are whole, in the time of this machine. */
export function query(filters: Filters): Record<string, string | number | boolean> {
  const { since, until, favourite, deleted, ...texts } = filters
  const asked: Record<string, string | number | boolean> = { deleted }
  for (const [name, text] of Object.entries(texts)) if (text.trim()) asked[name] = text.trim()
  if (favourite) asked.favourite = true
  if (since) asked.since = new Date(`${since}T00:00`).getTime() / 1000
  if (until) asked.until = new Date(`${until}T00:00`).getTime() / 1000 + DAY
  return asked
}

export const useGallery = defineStore('gallery', () => {
  const filters = reactive<Filters>({ ...ALL })
  const look = reactive(kept('gallery', { size: 220 }))
  const pictures = shallowRef<readonly Card[]>([])
  const count = ref<number | null>(null)
  const facets = ref<Facets | null>(null)
  const selected = reactive(new Set<string>())
  const problem = ref<unknown>(null)
  const loading = ref(false)
  const stale = ref(false) // whether what is shown is of an older search
  const place = { scrolled: 0 } // of the wall, in pixels
  let before: number | null = null
  let more = true
  let asked = 0 // the newest search: answers to older ones are dropped
  let missed = false // whether pictures came while the first page was on its way
  let timer: ReturnType<typeof setTimeout> | undefined

  const filtered = computed(() => JSON.stringify({ ...filters, deleted: false }) !== JSON.stringify(ALL))

  /** Look anew. */
  async function search(): Promise<void> {
    const own = ++asked
    before = null
    more = true
    problem.value = null
    loading.value = false
    stale.value = true
    selected.clear()
    place.scrolled = 0
    await Promise.all([loadMore(own, true), loadCounts(own)])
    if (missed && own === asked) await loadNew()
  }

  /** Coming back: what was found stays, with the place and the selection; what was made meanwhile comes above it. */
  async function comeBack(): Promise<void> {
    if (stale.value || problem.value !== null || filters.deleted || !pictures.value.length) return search()
    await loadNew()
    await loadCounts(asked)
  }

  async function loadCounts(own: number): Promise<void> {
    const wanted = { params: { query: query(filters) } }
    const [counted, found] = await Promise.all([
      call(api.GET('/api/v1/gallery/count', wanted)),
      call(api.GET('/api/v1/gallery/facets', { params: { query: { deleted: filters.deleted } } })),
    ])
    if (own !== asked) return
    count.value = counted.count
    facets.value = found
  }

  /** The next page, if there is one and none is on its way; after a page that failed nothing until `retry`. */
  async function loadMore(own = asked, anew = false): Promise<void> {
    if (loading.value || !more || problem.value) return
    loading.value = true
    try {
      const params = { query: { ...query(filters), limit: before === null ? FIRST : PAGE, ...(before === null ? {} : { before }) } }
      const page = await call(api.GET('/api/v1/gallery', { params }))
      if (own !== asked) return
      pictures.value = anew ? page.pictures : [...pictures.value, ...page.pictures]
      before = page.before ?? null
      more = before !== null
      stale.value = false
    } catch (error) {
      if (own !== asked) return
      problem.value = error
      stale.value = false
    } finally {
      if (own === asked) loading.value = false
    }
  }

  /** Once more what failed. Throws a Problem. */
  async function retry(): Promise<void> {
    problem.value = null
    await (before === null ? search() : loadMore())
  }

  /** All that is found, also what was not scrolled to yet. */
  async function selectAll(): Promise<void> {
    const own = asked
    while (more && !problem.value && own === asked) {
      if (loading.value) await until(loading, false)
      else await loadMore()
    }
    if (own === asked && !problem.value) for (const card of pictures.value) selected.add(card.id)
  }

  /** Whether all that is found is selected. */
  const allSelected = computed(() => selected.size > 0 && selected.size === count.value)

  /** Pictures that were made since the newest that is shown. */
  async function loadNew(): Promise<void> {
    missed = loading.value && before === null
    if (missed) return
    const own = asked
    const page = await call(api.GET('/api/v1/gallery', { params: { query: { ...query(filters), limit: PAGE } } }))
    if (own !== asked) return
    const newest = pictures.value[0]?.number ?? -1
    const fresh = page.pictures.filter((one) => one.number > newest)
    if (!fresh.length) return
    if (fresh.length === PAGE) return search() // there are more between them and those that are shown
    pictures.value = [...fresh, ...pictures.value]
    count.value = (count.value ?? 0) + fresh.length
  }

  function replace(cards: readonly Card[]): void {
    const byId = new Map(cards.map((card) => [card.id, card]))
    pictures.value = pictures.value.map((card) => byId.get(card.id) ?? card)
  }

  function drop(ids: readonly string[]): void {
    const gone = new Set(ids)
    pictures.value = pictures.value.filter((card) => !gone.has(card.id))
    count.value = Math.max(0, (count.value ?? 0) - ids.length)
    for (const id of ids) selected.delete(id)
  }

  /** Mark pictures, tag them, or put them into an album. Throws a Problem. */
  async function change(ids: readonly string[], wanted: Partial<Change>): Promise<void> {
    for (const some of pieces(ids)) replace(await call(api.POST('/api/v1/gallery/change', { body: { add_tags: [], remove_tags: [], ...wanted, pictures: some } })))
  }

  /** Into the bin, or back from it. Throws a Problem. */
  async function bin(ids: readonly string[], into = true): Promise<void> {
    for (const some of pieces(ids)) {
      await call(api.POST(into ? '/api/v1/gallery/delete' : '/api/v1/gallery/restore', { body: { pictures: some } }))
      drop(some)
    }
  }

  /** Delete for good what is in the bin; how many pictures that were. Throws a Problem. */
  async function emptyBin(): Promise<number> {
    const { count: gone } = await call(api.POST('/api/v1/gallery/empty', { body: { days: 0 } }))
    await search()
    return gone
  }

  watch(look, () => keep('gallery', look))
  watch(filters, () => {
    stale.value = true
    clearTimeout(timer)
    timer = setTimeout(() => search().catch(complain), PATIENCE)
  })

  /** Pictures appear as their jobs end; once the server is back, what failed meanwhile is asked for again. */
  function follow(): () => void {
    const jobs = useJobs()
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = watch(
      () => jobs.results.size,
      () => {
        clearTimeout(timer)
        if (!filters.deleted) timer = setTimeout(() => void loadNew().catch(() => undefined), PATIENCE) // jobs often end together
      },
    )
    const again = watch(
      () => jobs.linked,
      (there) => there && problem.value !== null && void retry().catch(complain),
    )
    return () => (stop(), again(), clearTimeout(timer))
  }

  return {
    filters, look, place, pictures, count, facets, selected, problem, loading, stale, filtered, allSelected,
    search, comeBack, loadMore, retry, selectAll, change, bin, emptyBin, follow,
  }
})

function pieces(ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / AT_ONCE) }, (_, i) => ids.slice(i * AT_ONCE, (i + 1) * AT_ONCE))
}

function until<T>(source: Ref<T>, value: T): Promise<void> {
  return new Promise((go) => {
    const stop = watch(source, (now) => now === value && (stop(), go()), { flush: 'sync' })
  })
}
