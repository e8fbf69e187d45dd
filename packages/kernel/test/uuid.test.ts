import { expect, test } from 'vitest'
import { uuidv7 } from '../src/index.ts'
import { virtualClock } from '../src/testing/index.ts'

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const timeOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
const isGrowing = (ids: readonly string[]): boolean => ids.every((id, i) => i === 0 || ids[i - 1]! < id)

test('10,000 in a row are well formed, distinct and growing', () => {
  const ids = Array.from({ length: 10_000 }, () => uuidv7())
  expect(ids.filter((id) => !FORM.test(id))).toEqual([])
  expect(new Set(ids).size).toBe(10_000)
  expect(isGrowing(ids)).toBe(true)
})

test('they carry the time and grow when the wall clock jumps back, stands still or moves by fractions', async () => {
  const startMs = Date.UTC(2100, 0, 1)
  const clock = virtualClock({ now: startMs })
  const ids = [uuidv7(clock)]
  expect(timeOf(ids[0]!)).toBe(startMs)
  clock.jumpWall(-86_400_000)
  // Over 4096 within one millisecond: the sequence borrows from the next.
  for (let i = 0; i < 9_000; i++) ids.push(uuidv7(clock))
  clock.jumpWall(86_400_000)
  for (let i = 0; i < 1_000; i++) {
    await clock.advance(0.25)
    ids.push(uuidv7(clock))
  }
  expect(new Set(ids).size).toBe(ids.length)
  expect(isGrowing(ids)).toBe(true)
  expect(timeOf(ids.at(-1)!)).toBe(startMs + 250)
})
