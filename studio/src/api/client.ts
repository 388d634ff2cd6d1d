// The server's own API, typed by its schema. `await call(api.GET('/api/v1/about'))` is the answer, or throws a Problem.
import createClient from 'openapi-fetch'

import { refused, termsWanted } from '@/stores/who'

import type { components, paths } from './schema'

export type Schemas = components['schemas']
export type JobView = Schemas['JobView']
export type ResultView = Schemas['ResultView']
export type About = Schemas['About']
export type Recipe = Schemas['Recipe']

/** What went wrong, as the server tells it; `kind` is for programs, `message` for people. */
export class Problem extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly status = 0,
    readonly field: string | null = null,
    readonly retryAfter: number | null = null,
  ) {
    super(message)
  }
}

export const api = createClient<paths>({ fetch: (request) => fetched(request) })

async function fetched(request: Request): Promise<Response> {
  const sent = performance.now()
  try {
    const response = await fetch(request)
    if (response.status === 401) refused(sent)
    return response
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Problem('offline', 'the server does not answer: is it still running?')
  }
}

/** The answer to a call. Throws a Problem. */
export async function call<D>(answer: Promise<{ data?: D; error?: unknown; response: Response }>): Promise<D> {
  const { data, error, response } = await answer
  if (response.ok) return data as D
  throw problemOf(response, error)
}

function problemOf(response: Response, told: unknown): Problem {
  const { error, message, field } = (told ?? {}) as Partial<Schemas['Problem']>
  if (error === 'terms') termsWanted.value = true
  const wait = Number(response.headers.get('retry-after')) || null
  return new Problem(error ?? 'server', message ?? `${response.status} ${response.statusText}`, response.status, field ?? null, wait)
}

/** A name for an order: sent twice, it is one order; see `ordered`. crypto.randomUUID is for https and loopback alone. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const unanswered = new Map<string, string>() // what was asked for, and its key

/** Ask for something under a key. When nobody answers it may have been taken all the same: the same, asked for again, is the same order. */
export async function ordered<T>(what: unknown, send: (key: string) => Promise<T>): Promise<T> {
  const written = JSON.stringify(what)
  const key = unanswered.get(written) ?? newKey()
  try {
    const taken = await send(key)
    unanswered.delete(written)
    return taken
  } catch (error) {
    if (asProblem(error).kind === 'offline') unanswered.set(written, key)
    else unanswered.delete(written)
    throw error
  }
}

/** Send a picture or a mask; recipes name it by the SHA-256 of the answer. */
export async function sendImage(picture: Blob): Promise<Schemas['Upload']> {
  const response = await fetched(new Request('/api/v1/images', { method: 'POST', body: picture }))
  const told: unknown = await response.json().catch(() => null)
  if (!response.ok) throw problemOf(response, told)
  return told as Schemas['Upload']
}

/** The bytes of a picture of the server. Throws a Problem, or an AbortError when the signal comes. */
export async function pictureAt(url: string, signal?: AbortSignal): Promise<Blob> {
  const response = await fetched(new Request(url, { signal }))
  if (!response.ok) throw problemOf(response, await response.json().catch(() => null))
  return response.blob()
}

/** Width and height of a picture of the server. Throws a Problem. */
export async function sizeAt(url: string): Promise<{ width: number; height: number }> {
  const { width, height } = await createImageBitmap(await pictureAt(url))
  return { width, height }
}

/** Any failure as a Problem. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem('studio', error instanceof Error ? error.message : String(error))
}
