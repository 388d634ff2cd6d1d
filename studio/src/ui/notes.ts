// Short notes that come and go at the edge of the page, and are read out. Problems stay until they are closed.
import { reactive } from 'vue'

import { asProblem, type Problem } from '@/api/client'

export interface Note {
  id: number
  text: string
  problem: Problem | null
  stays: boolean // until it is closed
}

export const notes = reactive<Note[]>([])
const STAYS = 5000 // milliseconds
let last = 0

/** Tell something; what needs to be read in peace stays until it is closed. */
export function note(text: string, stays = false): void {
  const id = ++last
  notes.push({ id, text, problem: null, stays })
  if (!stays) setTimeout(() => dismiss(id), STAYS)
}

/** Tell of a failure: `something().catch(complain)`. */
export function complain(error: unknown): void {
  const problem = asProblem(error)
  if (problem.status === 401) return // the page asks who this is
  if (!notes.some((one) => one.problem?.message === problem.message)) notes.push({ id: ++last, text: problem.message, problem, stays: true })
}

export function dismiss(id: number): void {
  const index = notes.findIndex((one) => one.id === id)
  if (index >= 0) notes.splice(index, 1)
}
