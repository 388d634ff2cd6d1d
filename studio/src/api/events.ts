// What happens to jobs, as it happens. The browser reconnects by itself, and goes on after the last event that it saw.
export interface JobEvent {
  kind: string
  job: string
  time: number
  [more: string]: unknown
}

const KINDS = ['queued', 'started', 'step', 'kept', 'interrupted', 'paused', 'resumed', 'done', 'failed', 'cancelled', 'moved', 'remarked']
const AGAIN = 2000 // milliseconds until a refused stream is tried again

/** Follow all events; `onLink` tells whether the server is there. Returns a function that stops. */
export function follow(onEvent: (event: JobEvent) => void, onLink: (there: boolean) => void): () => void {
  let source: EventSource
  let timer: ReturnType<typeof setTimeout> | undefined
  const listen = () => {
    source = new EventSource('/api/v1/events')
    source.onopen = () => onLink(true)
    source.onerror = () => {
      onLink(false)
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(listen, AGAIN)
    }
    for (const kind of KINDS)
      source.addEventListener(kind, (message) => onEvent({ ...JSON.parse((message as MessageEvent<string>).data), kind }))
  }
  listen()
  return () => {
    clearTimeout(timer)
    source.close()
  }
}
