import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createSlots, type Slot } from '../src/slots.ts'

interface Named extends Slot {
  readonly name: string
}

function slotsOf(concurrency: number, slowConcurrency: number) {
  const clock = virtualClock()
  const slow: string[] = []
  const slots = createSlots<Named>({
    concurrency,
    slowConcurrency,
    slowAfterMs: 250,
    becameSlow: (aged) => void slow.push(...aged.map(({ name }) => name)),
    clock,
  })
  const take = (name: string, isSlow = false): Named => {
    const slot: Named = { name, beganMs: clock.monotonic(), slow: isSlow, freed: false }
    slots.take(slot)
    return slot
  }
  const numbers = () => [slots.free(), slots.fast, slots.freeSlow(), slots.slow]
  return { clock, slow, slots, take, numbers }
}

test('an attempt that grows old leaves its slot', async () => {
  const { clock, slow, slots, take, numbers } = slotsOf(2, 3)
  const a = take('a')
  await clock.advance(100)
  take('b')
  expect(numbers()).toEqual([0, 2, 3, 0])
  await clock.advance(149)
  expect(slow).toEqual([])
  await clock.advance(1)
  expect(slow).toEqual(['a'])
  expect(numbers()).toEqual([1, 1, 2, 1])
  expect(slots.all().map(({ name }) => name)).toEqual(['a', 'b'])
  await clock.advance(100)
  expect(numbers()).toEqual([2, 0, 1, 2])
  slots.give(a)
  slots.give(a)
  expect(numbers()).toEqual([2, 0, 2, 1])
})

test('without room for slow ones they stay where they are, until one ends', async () => {
  const { clock, slow, slots, take, numbers } = slotsOf(2, 1)
  const a = take('a')
  take('b')
  await clock.advance(10_000)
  expect(slow).toEqual(['a'])
  expect(numbers()).toEqual([1, 1, 0, 1])
  expect(clock.pending()).toBe(0)
  slots.give(a)
  await clock.advance(1)
  expect(slow).toEqual(['a', 'b'])
})

test('a suspect begins as a slow one and takes nothing from the fast', async () => {
  const { clock, slow, slots, take, numbers } = slotsOf(2, 2)
  const a = take('a', true)
  take('b')
  expect(numbers()).toEqual([1, 1, 1, 1])
  await clock.advance(250)
  expect(slow).toEqual(['b'])
  slots.give(a)
  expect(numbers()).toEqual([2, 0, 1, 1])
})

test('no timer stays when nothing is held', async () => {
  const { clock, slots, take } = slotsOf(2, 2)
  const one = take('a')
  expect(clock.pending()).toBe(1)
  slots.give(one)
  expect(clock.pending()).toBe(0)
})
