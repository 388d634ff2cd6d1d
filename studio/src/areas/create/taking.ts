// Pictures and masks on their way to the server, many at a time: how far that is, and what could not be taken.
import { reactive } from 'vue'

import { MOST, type Source, takeAll } from './batch'
import { type SentPicture, useDraft } from './draft'
import { t } from './texts'

export interface Chosen {
  pictures: readonly Source[]
  others: readonly string[] // names of what is no picture
}

export const taking = reactive({ what: null as 'pictures' | 'masks' | null, done: 0, of: 0, told: [] as string[], stopped: false })

/** Begin from them, besides those that are there. */
export async function takePictures(chosen: Chosen): Promise<void> {
  const store = useDraft()
  const room = MOST - (store.draft.start ? 1 + store.draft.more.length : 0)
  const left = chosen.pictures.length - room
  await take('pictures', { ...chosen, pictures: chosen.pictures.slice(0, room) }, (picture) => store.alsoFrom(picture))
  if (left > 0) taking.told.push(t('batch.most', { n: MOST, left }))
}

/** Masks for the start pictures, in place of those before. */
export async function takeMasks(chosen: Chosen): Promise<void> {
  const store = useDraft()
  const masks: SentPicture[] = []
  await take('masks', chosen, async (mask) => void masks.push(mask))
  if (!masks.length) return
  Object.assign(store.draft, { masks, mask: null })
  store.soften()
}

async function take(what: 'pictures' | 'masks', { pictures, others }: Chosen, each: (picture: SentPicture) => Promise<void>): Promise<void> {
  if (taking.what) return
  Object.assign(taking, { what, done: 0, of: pictures.length, told: [], stopped: false })
  try {
    const failed = await takeAll(pictures, async (done, picture) => {
      taking.done = done
      if (picture) await each(picture)
      return !taking.stopped
    })
    if (others.length) failed.push(t('batch.others', { n: others.length, names: some(others) }))
    taking.told = failed
  } finally {
    taking.what = null
  }
}

/** The first names of a list, and that there are more. */
export function some(names: readonly string[]): string {
  const most = 5
  return names.slice(0, most).join(', ') + (names.length > most ? ' …' : '')
}
