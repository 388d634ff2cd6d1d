import { expect, test } from 'vitest'

import { newest } from './newest'

/** A call that is answered by hand. */
function held() {
  const answers: { give: (found: string) => void; fail: (error: Error) => void }[] = []
  const taken: string[] = []
  const ask = newest(() => new Promise<string>((give, fail) => answers.push({ give, fail })), (found) => taken.push(found))
  return { answers, taken, ask }
}

test('an older answer that comes later changes nothing, nor does its failure', async () => {
  const { answers, taken, ask } = held()
  const calls = [ask(), ask(), ask()]
  answers[2]!.give('new')
  answers[0]!.give('old')
  answers[1]!.fail(new Error('old'))
  await Promise.all(calls)
  expect(taken).toEqual(['new'])
})

test('answers that come in their order are all taken: many calls starve nothing', async () => {
  const { answers, taken, ask } = held()
  const calls = [ask(), ask()]
  answers[0]!.give('first')
  await calls[0]
  expect(taken).toEqual(['first'])
  answers[1]!.give('second')
  await calls[1]
  expect(taken).toEqual(['first', 'second'])
})

test('what a call fails with is told', async () => {
  const { answers, ask } = held()
  const only = ask()
  answers[0]!.fail(new Error('gone'))
  await expect(only).rejects.toThrow('gone')
})
