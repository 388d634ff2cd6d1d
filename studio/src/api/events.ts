// What happens to jobs, as it happens. The browser reconnects by itself, and goes on after the last event that it saw.
// Of a page that is not seen it is looked up now and then instead: browsers give a server six connections, over all their tabs.
export interface JobEvent {
  kind: string
  job: string
  time: number
  [more: string]: unknown
}

const KINDS = ['queued', 'started', 'step', 'kept', 'interrupted', 'paused', 'resumed', 'done', 'failed', 'cancelled', 'moved', 'remarked']
const AGAIN = 2000 // milliseconds until a refused stream is tried again
const AWAY = 10_000 // milliseconds between looks of a page that is not seen

/** Who hears of it. */
export interface Listener {
  event: (event: JobEvent) => void
  /** Whether the server is there; where it is, all that happened before has to be asked for. */
  link: (there: boolean) => void
  /** Events are not told now: look for yourself. */
  look: () => void
}

/** Follow all events. Returns a function that stops. */
export function follow({ event, link, look }: Listener): () => void {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const listen = () => {
    source = new EventSource('/api/v1/events')
    source.onopen = () => link(true)
    source.onerror = () => {
      link(false)
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(listen, AGAIN)
    }
    for (const kind of KINDS)
      source.addEventListener(kind, (message) => event({ ...JSON.parse((message as MessageEvent<string>).data), kind }))
  }
  const away = () => {
    look()
    timer = setTimeout(away, AWAY)
  }
  const stop = () => {
    clearTimeout(timer)
    source?.close()
    source = undefined
  }
  const begin = () => {
    stop()
    if (document.hidden) away()
    else listen()
  }
  begin()
  document.addEventListener('visibilitychange', begin)
  return () => {
    document.removeEventListener('visibilitychange', begin)
    stop()
  }
}
