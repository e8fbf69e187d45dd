import { expect, test } from 'vitest'
import { createTimeLimits } from '../src/time-limits.ts'
import { virtualClock, type VirtualClock } from '../src/testing/index.ts'

function limited(): { clock: VirtualClock; begin(name: string): { cancel(): void }; told: string[] } {
  const clock = virtualClock()
  const limits = createTimeLimits(clock, 250)
  const told: string[] = []
  const begin = (name: string) => limits.begin(() => told.push(`${name} at ${clock.monotonic() - startMs}`))
  const startMs = clock.monotonic()
  return { clock, begin, told }
}

test('each limit is reached at its own time, in the order of their beginning', async () => {
  const { clock, begin, told } = limited()
  begin('a')
  await clock.advance(100)
  begin('b')
  begin('c')
  await clock.advance(149)
  expect(told).toEqual([])
  await clock.advance(1_000)
  expect(told).toEqual(['a at 250', 'b at 350', 'c at 350'])
  begin('d')
  await clock.advance(250)
  expect(told.at(-1)).toBe('d at 1499')
})

test('one that was cancelled is never reached, wherever it stands and however often', async () => {
  for (const cancelled of ['a', 'b', 'c', 'ab', 'bc', 'ca', 'abc', 'aabbcc']) {
    const { clock, begin, told } = limited()
    const limits = new Map(['a', 'b', 'c'].map((name) => [name, begin(name)]))
    for (const name of cancelled) limits.get(name)!.cancel()
    begin('d')
    await clock.advance(250)
    limits.get('a')!.cancel()
    expect(told.map((line) => line[0])).toEqual([...'abcd'].filter((name) => !cancelled.includes(name)))
  }
})

test('one that is reached may begin and cancel others', async () => {
  const clock = virtualClock()
  const limits = createTimeLimits(clock, 10)
  const told: string[] = []
  limits.begin(() => {
    next.cancel()
    limits.begin(() => told.push('new'))
  })
  const next = limits.begin(() => told.push('next'))
  await clock.advance(10)
  expect(told).toEqual([])
  await clock.advance(10)
  expect(told).toEqual(['new'])
})
