import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { context, silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createWaiters } from '../src/waiters.ts'

/** A store whose versions are counted; each question is answered when the test says so. */
function counted() {
  const clock = virtualClock()
  const log: string[] = []
  const questions: { since: string | null; scopes: readonly string[] }[] = []
  let gate: PromiseWithResolvers<void> | undefined
  const waiters = createWaiters({
    async changed(since, scopes) {
      questions.push({ since, scopes })
      await gate?.promise
      const token = String(log.length)
      const fresh = since === null ? [] : log.slice(Number(since), Number(token))
      return { scopes: [...new Set(fresh)].filter((scope) => scopes.includes(scope)), token }
    },
    max: 3,
    clock,
    logger: silentLogger,
  })
  return {
    clock,
    waiters,
    questions,
    commit: (scope: string) => void log.push(scope),
    hold: () => void (gate = Promise.withResolvers()),
    release() {
      gate?.resolve()
      gate = undefined
    },
  }
}

/** Whether it is over, without waiting for it. */
async function isOver(waiting: Promise<void>): Promise<boolean> {
  const open = Symbol('open')
  await new Promise((resolve) => setImmediate(resolve))
  return (await Promise.race([waiting, Promise.resolve(open)])) !== open
}

test('who waits hears of a change in its scopes at the next question, and of no other', async () => {
  const { clock, waiters, commit, questions } = counted()
  const [one, two] = [await waiters.register(['a']), await waiters.register(['b'])]
  const [first, second] = [one.wait(20_000, undefined), two.wait(20_000, undefined)]
  commit('a')
  await clock.advance(250)
  expect([await isOver(first), await isOver(second)]).toEqual([true, false])
  expect(questions.at(-1)!.scopes.toSorted()).toEqual(['a', 'b'])
  await clock.advance(20_000)
  expect(await isOver(second)).toBe(true)
})

test('a change between the registration and the wait is not missed', async () => {
  const { clock, waiters, commit } = counted()
  const ticket = await waiters.register(['a'])
  commit('a')
  await clock.advance(250)
  expect(await isOver(ticket.wait(20_000, undefined))).toBe(true)
})

test('who comes while a question is under way is asked for from where that one began', async () => {
  const { clock, waiters, commit, hold, release } = counted()
  const early = await waiters.register(['a'])
  void early.wait(20_000, undefined)
  hold()
  await clock.advance(250)
  // The question is out, and is not about b.
  const late = await waiters.register(['b'])
  const waiting = late.wait(20_000, undefined)
  commit('b')
  release()
  await clock.advance(250)
  await clock.advance(250)
  expect(await isOver(waiting)).toBe(true)
})

test('nobody is asked for when nobody waits', async () => {
  const { clock, waiters, questions } = counted()
  const ticket = await waiters.register(['a'])
  ticket.leave()
  await clock.advance(1_000)
  const asked = questions.length
  await clock.advance(60_000)
  expect(questions.length).toBe(asked)
})

test('nobody waits any longer once it is drained', async () => {
  const { clock, waiters, commit } = counted()
  const [one, two] = [await waiters.register(['a']), await waiters.register(['a'])]
  const first = one.wait(20_000, undefined)
  waiters.drain()
  await first
  await two.wait(20_000, undefined)
  await (await waiters.register(['a'])).wait(20_000, undefined)
  commit('a')
  await clock.advance(250)
})

test('the deadline of who came first does not end the questions for the others', async () => {
  const lefts: number[] = []
  const clock = virtualClock()
  const waiters = createWaiters({
    async changed() {
      lefts.push(context.remaining())
      return { scopes: [], token: '1' }
    },
    max: 3,
    clock,
    logger: silentLogger,
  })
  await context.run({ deadline: 1 }, () => waiters.register(['a']))
  await clock.advance(500)
  expect(lefts).toEqual([Infinity, Infinity, Infinity])
})

test('more than may wait are refused, and all leave at a close', async () => {
  const { waiters } = counted()
  const tickets = [await waiters.register(['a']), await waiters.register(['a']), await waiters.register(['a'])]
  await expect(waiters.register(['a'])).rejects.toMatchObject({ code: 'LIMIT_REACHED', retryable: true })
  const waiting = tickets.map((ticket) => ticket.wait(20_000, undefined))
  waiters.close()
  await Promise.all(waiting)
  expect(waiters.count).toBe(0)
})

test('a signal of many waits has no listener of one that is over', async () => {
  const { clock, waiters } = counted()
  const { signal } = new AbortController()
  for (let i = 0; i < 3; i++) {
    const ticket = await waiters.register(['a'])
    const waiting = ticket.wait(1_000, signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await clock.advance(1_000)
    await waiting
    ticket.leave()
  }
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})
