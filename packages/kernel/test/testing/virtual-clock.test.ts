import fc from 'fast-check'
import { expect, test } from 'vitest'
import { virtualClock } from '../../src/testing/index.ts'

test('time moves only when it is moved, the wall clock also by a jump', async () => {
  const clock = virtualClock({ now: 1_000 })
  await clock.advance('1s')
  expect([clock.now(), clock.monotonic()]).toEqual([2_000, 1_000])
  clock.jumpWall(-5_000)
  expect([clock.now(), clock.monotonic()]).toEqual([-3_000, 1_000])
})

test('timers fire by due time, then creation, each at its own time', () => {
  const delays = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 15 })
  return fc.assert(
    fc.asyncProperty(delays, async (delayMs) => {
      const clock = virtualClock()
      const fired: { delay: number; created: number; atMs: number }[] = []
      delayMs.forEach((delay, created) =>
        clock.timer(() => fired.push({ delay, created, atMs: clock.monotonic() }), delay),
      )
      await clock.advance(20)
      const expected = delayMs.map((delay, created) => ({ delay, created, atMs: delay }))
      expect(fired).toEqual(expected.toSorted((a, b) => a.delay - b.delay || a.created - b.created))
      expect(clock.pending()).toBe(0)
    }),
    { numRuns: 50 },
  )
})

test('promises settle between two timers, also between two of one instant', async () => {
  const clock = virtualClock()
  const seen: string[] = []
  const chain = async (name: string): Promise<void> => {
    seen.push(name)
    for (let i = 0; i < 20; i++) await Promise.resolve()
    seen.push(`${name} settled`)
  }
  for (const [name, delayMs] of [
    ['a', 5],
    ['b', 5],
    ['c', 6],
  ] as const)
    clock.timer(() => void chain(name), delayMs)
  await clock.advance(10)
  expect(seen).toEqual(['a', 'a settled', 'b', 'b settled', 'c', 'c settled'])
})

test('a timer that is made or cancelled by another fires in the same advance or not at all', async () => {
  const clock = virtualClock()
  const fired: number[] = []
  const doomed = clock.timer(() => fired.push(-1), 3)
  clock.timer(() => {
    doomed.cancel()
    clock.timer(() => fired.push(clock.monotonic()), 4)
    clock.timer(() => fired.push(-2), 9)
  }, 2)
  await clock.advance(10)
  expect(fired).toEqual([6])
  expect(clock.pending()).toBe(1)
})

test('what waits before an advance counts from before it', async () => {
  const clock = virtualClock()
  const woke: number[] = []
  const sleeper = async (): Promise<void> => {
    await Promise.resolve()
    await clock.sleep(5)
    woke.push(clock.monotonic())
  }
  void sleeper()
  await clock.advance(5)
  expect(woke).toEqual([5])
})

test('sleep ends with the reason of its signal', async () => {
  const clock = virtualClock()
  const controller = new AbortController()
  const asleep = clock.sleep(5, controller.signal)
  controller.abort(new Error('enough'))
  await expect(asleep).rejects.toThrow('enough')
  expect(clock.pending()).toBe(0)
})
