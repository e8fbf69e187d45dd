import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'
import { createOwed } from '../src/owed.ts'

test('what is owed is told again, less and less often, until it is heard', async () => {
  const clock = virtualClock()
  const owed = createOwed(clock, silentLogger)
  const toldMs: number[] = []
  owed.add('an end', 60_000, async () => {
    toldMs.push(clock.monotonic())
    if (toldMs.length < 8) throw new Error('down')
  })
  expect(owed.size).toBe(1)
  await clock.advance(10_000)
  expect(toldMs).toHaveLength(8)
  expect(owed.size).toBe(0)
  const pauses = toldMs.map((at, i) => at - (toldMs[i - 1] ?? 0))
  expect(Math.max(...pauses)).toBeLessThanOrEqual(1_500)
  expect(pauses[0]!).toBeLessThan(pauses[6]!)
  await clock.advance(60_000)
  expect(toldMs).toHaveLength(8)
})

test('when the store is back, everything is told at once', async () => {
  const clock = virtualClock()
  const owed = createOwed(clock, silentLogger)
  let down = true
  let told = 0
  const tell = async (): Promise<void> => {
    told++
    if (down) throw new Error('down')
  }
  for (let i = 0; i < 20; i++) owed.add('an end', 60_000, tell)
  await clock.advance(5_000)
  expect(owed.size).toBe(20)
  down = false
  told = 0
  owed.flush()
  await clock.advance(0)
  expect(owed.size).toBe(0)
  expect(told).toBe(20)
  expect(clock.pending()).toBe(0)
})

test('it ends with its use', async () => {
  const clock = virtualClock()
  const owed = createOwed(clock, silentLogger)
  let told = 0
  owed.add('an end', 2_000, async () => {
    told++
    throw new Error('down')
  })
  await clock.advance(2_000)
  expect(owed.size).toBe(0)
  const before = told
  await clock.advance(60_000)
  expect(told).toBe(before)
})

test('its number is bounded, and closing forgets it', async () => {
  const clock = virtualClock()
  const owed = createOwed(clock, silentLogger)
  for (let i = 0; i < 10_050; i++) owed.add('an end', 60_000, () => Promise.reject(new Error('down')))
  expect(owed.size).toBe(10_000)
  owed.close()
  expect(owed.size).toBe(0)
  expect(clock.pending()).toBe(0)
})
