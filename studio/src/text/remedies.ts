// What to do about a problem, by its kind; many of the server's messages say it themselves.
import type { Problem } from '@/api/client'

import { t } from './shell'

export function remedy(problem: Problem): string {
  switch (problem.kind) {
    case 'offline':
    case 'unauthorised':
    case 'rate':
    case 'queue-full':
    case 'studio':
    case 'server':
    case 'terms':
      return t(`remedy.${problem.kind}`)
    default:
      return ''
  }
}
