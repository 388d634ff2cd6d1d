// Who this is, where the server has accounts. Every call that the server refuses for want of a name says so in `signedOut`.
import { computed, ref, shallowRef } from 'vue'

import type { Schemas } from '@/api/client'

export type Session = Schemas['Session']

export const signedOut = ref(false)
let since = -Infinity // when somebody signed in here, by the page's clock

/** Somebody has signed in: calls that were under way before tell nothing of that any more. */
export function signedIn(found: Session): void {
  since = performance.now()
  session.value = found
  signedOut.value = false
}

/** A call that was sent at this time was refused for want of a name. */
export function refused(sent: number): void {
  if (sent > since) signedOut.value = true
}
/** A call was refused because terms of use were not accepted. */
export const termsWanted = ref(false)
export const session = shallowRef<Session | null>(null)
/** What others can't do is not offered to them; until the server has told, it is. */
export const isAdmin = computed(() => session.value?.role !== 'user')
/** Whether a job is this person's: an administrator sees others' too. */
export const isOwn = (job: Schemas['JobView']) => !session.value?.accounts || job.owner === session.value.name

/** Take the token out of a link such as http://host:7860/#token=TOKEN: history and bookmarks don't keep it. */
function tokenOfLink(): string | null {
  const found = /^#\/?(?:\?)?token=([^&]+)$/.exec(location.hash)
  if (!found) return null
  history.replaceState(null, '', `${location.pathname}#/`)
  try {
    return decodeURIComponent(found[1]!)
  } catch {
    return found[1]!
  }
}

/** That of the link by which the page was opened; taken before the router reads the address. */
export const linkToken = tokenOfLink()
addEventListener('hashchange', () => /^#\/?token=/.test(location.hash) && location.reload()) // such a link in a page that is open
