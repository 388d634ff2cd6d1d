import { expect, test } from 'vitest'

import { newest } from './newest'

/** A call that is answered by hand. */
function held() {
  const answers: { give: (found: string) => void; fail: (error: Error) => void }[] = []
  const taken: string[] = []
  const ask = newest(() => new Promise<string>((give, fail) => answers.push({ give, fail })), (found) => taken.push(found))
  return { answers, taken, ask }
}

test('an older answer that comes later changes nothing, and who asked for it has the newer', async () => {
  const { answers, taken, ask } = held()
  const older = ask()
  const newer = ask()
  answers[1]!.give('new')
  await newer
  answers[0]!.give('old')
  await older
  expect(taken).toEqual(['new'])
})

test('an older call waits for the newest, also where it fails itself', async () => {
  const { answers, taken, ask } = held()
  const [older, newer] = [ask(), ask()]
  answers[0]!.fail(new Error('old'))
  answers[1]!.give('new')
  await Promise.all([older, newer])
  expect(taken).toEqual(['new'])
})

test('what the newest call fails with is told', async () => {
  const { answers, ask } = held()
  const only = ask()
  answers[0]!.fail(new Error('gone'))
  await expect(only).rejects.toThrow('gone')
})
