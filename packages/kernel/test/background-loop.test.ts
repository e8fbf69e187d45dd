import { createBackgroundLoop, stepUntil } from '@keelson/kernel/background-loop'
import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'

const PAUSE_MS = 100

/** A loop whose turns end when the test says so. */
function opened() {
  const clock = virtualClock()
  const turns: { end(): void; fail(error: Error): void }[] = []
  const failures: unknown[] = []
  const loop = createBackgroundLoop({
    async turn() {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      turns.push({ end: resolve, fail: reject })
      await promise
    },
    pauseMs: () => PAUSE_MS,
    failed: (error) => failures.push(error),
    clock,
  })
  return { clock, turns, failures, loop }
}

test('a turn after each pause, and the pause begins when the turn has ended', async () => {
  const { clock, turns, loop } = opened()
  await clock.advance(10 * PAUSE_MS)
  expect(turns).toHaveLength(0)
  loop.start()
  loop.start()
  expect(clock.pending()).toBe(1)
  await clock.advance(PAUSE_MS - 1)
  expect(turns).toHaveLength(0)
  await clock.advance(1)
  expect(turns).toHaveLength(1)
  await clock.advance(10 * PAUSE_MS)
  expect(turns).toHaveLength(1)
  turns[0]!.end()
  await clock.advance(PAUSE_MS)
  expect(turns).toHaveLength(2)
})

test('each pause is asked for', async () => {
  const clock = virtualClock()
  const pauses = [10, 30, 20]
  const at: number[] = []
  const loop = createBackgroundLoop({
    turn: async () => at.push(clock.monotonic()),
    pauseMs: () => pauses.shift() ?? Infinity,
    failed: () => {},
    clock,
  })
  loop.start()
  await clock.advance(1_000)
  expect(at).toEqual([10, 40, 60])
})

test('a turn that fails is told, and the next one comes', async () => {
  const { clock, turns, failures, loop } = opened()
  loop.start()
  await clock.advance(PAUSE_MS)
  const why = new Error('away')
  turns[0]!.fail(why)
  await clock.advance(PAUSE_MS)
  expect(failures).toEqual([why])
  expect(turns).toHaveLength(2)
})

test('stop() waits for the turn that runs, and no other begins', async () => {
  const { clock, turns, loop } = opened()
  loop.start()
  await clock.advance(PAUSE_MS)
  let stopped = false
  const stop = loop.stop().then(() => (stopped = true))
  await clock.advance(PAUSE_MS)
  expect(stopped).toBe(false)
  turns[0]!.end()
  await stop
  expect(clock.pending()).toBe(0)
})

test('stop() between two turns leaves no timer, and start() begins anew', async () => {
  const { clock, turns, loop } = opened()
  loop.start()
  await loop.stop()
  expect(clock.pending()).toBe(0)
  loop.start()
  await clock.advance(PAUSE_MS)
  expect(turns).toHaveLength(1)
})

test('a turn that hung over a restart leaves one timer', async () => {
  const { clock, turns, loop } = opened()
  loop.start()
  await clock.advance(PAUSE_MS)
  void loop.stop()
  loop.start()
  await clock.advance(PAUSE_MS - 1)
  turns[0]!.end()
  await clock.advance(0)
  expect(clock.pending()).toBe(1)
})

test('steps are taken until nothing is left, and none is begun when time is over', async () => {
  const clock = virtualClock()
  let left = 3
  const step = async (): Promise<boolean> => {
    await clock.advance(10)
    return --left === 0
  }
  expect(await stepUntil(20, step, clock)).toBe(false)
  expect(left).toBe(1)
  expect(await stepUntil(20, step, clock)).toBe(false)
  expect(left).toBe(1)
  expect(await stepUntil(21, step, clock)).toBe(true)
  await expect(stepUntil(Infinity, () => Promise.reject(new Error('away')), clock)).rejects.toThrow('away')
})
