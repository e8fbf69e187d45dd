import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createDeadlines } from '../../src/sending/deadlines.ts'

test('deadlines are kept to the ms, and share a timer by their length', async () => {
  const clock = virtualClock()
  const deadlines = createDeadlines(clock)
  const reached: string[] = []
  const begin = (name: string, limitMs: number) =>
    deadlines.begin(limitMs, clock.monotonic(), () => void reached.push(`${name} at ${clock.monotonic() - beganMs}`))
  const beganMs = clock.monotonic()
  begin('a', 100)
  const b = begin('b', 100)
  await clock.advance(30)
  begin('c', 100)
  begin('short', 10)
  expect(clock.pending()).toBe(2)
  deadlines.cancel(b)
  await clock.advance(1_000)
  expect(reached).toEqual(['short at 40', 'a at 100', 'c at 130'])
  expect(clock.pending()).toBe(0)
  begin('d', 100)
  await clock.advance(100)
  expect(reached.at(-1)).toBe('d at 1130')
})

test('one that is begun as another ends has its whole time', async () => {
  const clock = virtualClock()
  const deadlines = createDeadlines(clock)
  let ends = 0
  const again = (): void => {
    ends++
    deadlines.begin(50, clock.monotonic(), again)
  }
  deadlines.begin(50, clock.monotonic(), again)
  await clock.advance(499)
  expect(ends).toBe(9)
  deadlines.stop()
  expect(clock.pending()).toBe(0)
  await clock.advance(1_000)
  expect(ends).toBe(9)
})
