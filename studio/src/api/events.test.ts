import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { follow } from './events'

let open: FakeSource[]
class FakeSource extends EventTarget {
  static readonly CLOSED = 2
  readyState = 1
  onopen = () => undefined
  constructor() {
    super()
    open.push(this)
  }
  close(): void {
    open = open.filter((one) => one !== this)
  }
}
function see(seen: boolean): void {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(!seen)
  document.dispatchEvent(new Event('visibilitychange'))
}

beforeEach(() => {
  open = []
  vi.useFakeTimers()
  vi.stubGlobal('EventSource', FakeSource)
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

test('a page that is not seen holds no connection, looks now and then, and listens again once it is seen', () => {
  const heard = { event: vi.fn(), link: vi.fn(), look: vi.fn() }
  const stop = follow(heard)
  expect([open.length, heard.look.mock.calls.length]).toEqual([1, 0])
  see(false)
  expect([open.length, heard.look.mock.calls.length]).toEqual([0, 1])
  vi.advanceTimersByTime(25_000)
  expect(heard.look).toHaveBeenCalledTimes(3)
  see(true)
  vi.advanceTimersByTime(25_000)
  expect([open.length, heard.look.mock.calls.length]).toEqual([1, 3])
  open[0]!.dispatchEvent(new MessageEvent('done', { data: '{"job": "a"}' }))
  expect(heard.event).toHaveBeenCalledWith({ job: 'a', kind: 'done' })
  stop()
  see(false)
  see(true)
  expect(open).toEqual([])
})
