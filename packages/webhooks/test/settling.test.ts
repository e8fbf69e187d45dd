import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { WebhookError } from '../src/error.ts'
import { createSettling } from '../src/settling.ts'
import type { Claim, Settled, Settlement } from '../src/store.ts'

type Settle = (ids: readonly string[]) => Promise<readonly Settled[]>
const ok: Settled = { kind: 'ok', notices: [] }

/** Settles by `settle`, which may be replaced. */
function settlingBy(settle: Settle) {
  const clock = virtualClock()
  const calls: string[][] = []
  const told: string[] = []
  const by = { settle }
  const settling = createSettling({
    everyMs: 5,
    async settle(settlements) {
      const ids = settlements.map(({ token }) => token.delivery)
      calls.push(ids)
      return by.settle(ids)
    },
    settled: ({ claim }, { kind }) => void told.push(`${claim.token.delivery} ${kind}`),
    after() {},
    clock,
  })
  const add = (id: string, leaseMs = 20_000) => {
    const token = { scope: 's', endpoint: 'e', delivery: id, fence: 1 }
    const settlement: Settlement = {
      token,
      attempt: null,
      end: { kind: 'release', afterMs: 0 },
      signal: { kind: 'none' },
    }
    settling.add({ settlement, claim: { token } as Claim, leaseEndsMs: clock.monotonic() + leaseMs })
  }
  return { clock, calls, told, by, settling, add }
}

test('what ends within the interval is told together, at most 256 at once', async () => {
  const { clock, calls, told, add } = settlingBy(async (ids) => ids.map(() => ok))
  for (let i = 0; i < 300; i++) add(`d${i}`)
  await clock.advance(4)
  expect(calls).toEqual([])
  await clock.advance(1)
  expect(calls.map(({ length }) => length)).toEqual([256, 44])
  expect(told).toHaveLength(300)
  expect(told[299]).toBe('d299 ok')
  expect(clock.pending()).toBe(0)
})

test('while the store is away all is told again until its leases have ended, and then forgotten', async () => {
  const away = async () => {
    throw new WebhookError('STORE_UNAVAILABLE', 'away')
  }
  const { clock, calls, told, by, settling, add } = settlingBy(away)
  add('short', 1_000)
  add('long', 5_000)
  await clock.advance(1_300)
  expect(calls.length).toBeGreaterThan(4)
  expect(calls.at(-1)).toEqual(['long'])
  by.settle = async (ids) => ids.map(() => ({ kind: 'stale' }))
  await clock.advance(300)
  expect(told).toEqual(['long stale'])
  await settling.flush()
  expect(clock.pending()).toBe(0)
})

test('one that the store does not take keeps the others no longer than it takes to find it', async () => {
  const { clock, told, add } = settlingBy(async (ids) => {
    if (ids.includes('bad')) throw new Error('invalid byte sequence')
    return ids.map(() => ok)
  })
  for (let i = 0; i < 100; i++) add(i === 50 ? 'bad' : `d${i}`)
  await clock.advance(3_000)
  expect(told).toHaveLength(99)
  await clock.advance(20_000)
  expect(told).toHaveLength(99)
  expect(clock.pending()).toBe(0)
})

test('what is forgotten is not told any more, also what is under way', async () => {
  let reject: ((error: Error) => void) | undefined
  const { clock, calls, told, settling, add } = settlingBy(() => new Promise((_, no) => (reject = no)))
  add('first')
  await clock.advance(5)
  add('second')
  settling.forget()
  reject!(new WebhookError('STORE_UNAVAILABLE', 'away'))
  await clock.advance(1_000)
  expect(calls).toEqual([['first']])
  expect(told).toEqual([])
  expect(clock.pending()).toBe(0)
})
