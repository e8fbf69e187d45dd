import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Outcome } from '@keelson/idempotency'
import { faults } from './faults.ts'
import type { StoreKind } from './open-store.ts'
import { liveThrough, RECOVERY_MS, type Seen } from './outage.ts'
import { served, startStand, STORE_TIMEOUT_MS, timed, type Stand, type Timed } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

/** The promise is storeTimeout and 50 ms; the rest is for a process that does other things too. */
const IN_TIME_MS = 4 * STORE_TIMEOUT_MS

const all = Object.keys(faults)
const kinds: [StoreKind, readonly string[]][] = [
  ['ioredis 6', all],
  ['node-redis 6', all],
  ['Postgres', all],
  ['ioredis 5', ['is killed', 'is frozen']],
]

/** Within one store: stores side by side. */
const SEQUENTIAL = { concurrent: false }

describe.concurrent.each(kinds)('%s', (kind, names) => {
  let stand: Stand
  const silentMs: number[] = []
  beforeAll(async () => {
    stand = await startStand(kind)
  })
  afterAll(() => stand[Symbol.asyncDispose]())

  describe.each(names)('a server that %s', SEQUENTIAL, (name) => {
    const fault = faults[name]!
    let seen: Seen
    beforeAll(async () => {
      seen = await liveThrough(stand, fault)
      if (fault.silent === true) silentMs.push(seen.first.tookMs, seen.settled.tookMs, seen.thrown.tookMs)
      const ms = (...each: Timed<unknown>[]): number[] => each.map(({ tookMs }) => Math.round(tookMs))
      console.log(`${kind} ${name}: ms to the first answers ${ms(seen.first, seen.settled, seen.thrown, seen.bare)}, \
to 20 more ${ms(seen.next)}; back after ${Math.round(seen.backMs)}`)
    })

    test('a first call is answered in time, the next ones at once, and none of them has run', () => {
      expect(seen.first.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial === true) return
      expect(seen.first.value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE', retryable: true })
      // Nothing was asked, so there was nothing to wait for.
      expect(refusals(seen.next.value)).toEqual(Array(20).fill('STORE_UNAVAILABLE: open'))
      expect(seen.next.tookMs).toBeLessThan(IN_TIME_MS)
      expect(seen.ranMeanwhile).toBe(0)
    })

    test('the same key works again soon after, and is not held by the claim that nobody was told of', () => {
      expect(seen.again).toMatchObject({ ok: true, attempt: 1 })
      expect(seen.backMs).toBeLessThan(RECOVERY_MS)
    })

    test('a work that ends in the outage comes back with its value, and its repeat finds it stored', () => {
      const value = { charge: 'ch_settle' }
      expect(seen.settled.value).toMatchObject({ ok: true, kind: 'executed', attempt: 1, value })
      expect(seen.settled.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial !== true) expect(seen.settled.value).toMatchObject({ stored: false })
      expect(seen.settleRepeat).toMatchObject({ ok: true, kind: 'replayed', attempt: 1, value })
      expect(seen.runs.settle).toBe(1)
    })

    test('a work that throws in the outage rejects with its own error, and its key is free again', () => {
      expect(seen.thrown.value).toBe(seen.failure)
      expect(seen.thrown.tookMs).toBeLessThan(IN_TIME_MS)
      expect(seen.releaseRepeat).toMatchObject({ ok: true, kind: 'executed', attempt: 1, value: 'release 2' })
    })

    test('a work that goes on through the outage keeps its key, and can save again', () => {
      if (fault.partial !== true) expect(seen.saves).toEqual(['STORE_UNAVAILABLE'])
      const value = { attempt: 1, lost: false }
      expect(seen.saved).toMatchObject({ ok: true, kind: 'executed', value })
      expect(seen.saveRepeat).toMatchObject({ ok: true, kind: 'replayed', value })
      expect(seen.runs.save).toBe(1)
    })

    test('a duplicate that waits through the outage gets the value or is refused, and does not run', () => {
      const { value: outcome, tookMs } = seen.waited
      expect(tookMs).toBeLessThan(RECOVERY_MS)
      if (outcome.ok) expect(outcome).toMatchObject({ kind: 'replayed', waited: true, value: { attempt: 1 } })
      else expect(outcome.code).toBe('STORE_UNAVAILABLE')
      expect(seen.runs.waiter).toBe(0)
    })

    test('who prefers it runs unprotected meanwhile and is told so, and is protected again after', () => {
      expect(seen.bare.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial !== true) {
        for (const outcome of [seen.bare.value, seen.bareNext]) {
          expect(outcome).toMatchObject({ ok: true, kind: 'unprotected', stored: false, replayed: false, attempt: 1 })
        }
      }
      expect(seen.bareRepeat).toMatchObject({ ok: true, attempt: 1 })
    })
  })

  if (names !== all) return
  test('who asks a server that is silent is answered within storeTimeout and 50 ms', SEQUENTIAL, async () => {
    const asker = await stand.open()
    // The best of all outages, and of more until one is: noise only adds. What took longer would do so in each of them.
    for (let round = 0; round < 20 && Math.min(...silentMs) >= STORE_TIMEOUT_MS + 50; round++) {
      await served(asker)
      stand.server.freeze()
      const call = { scope: 'm1', op: 'POST /charges', key: randomUUID() }
      silentMs.push((await timed(asker.run(call, async () => 'never'))).tookMs)
      stand.server.thaw()
    }
    expect(Math.min(...silentMs)).toBeLessThan(STORE_TIMEOUT_MS + 50)
  })
})

/** By which code, and why the guard said no. */
const refusals = (outcomes: readonly Outcome<unknown>[]): string[] =>
  outcomes.map((outcome) => {
    if (outcome.ok) return outcome.kind
    const { code, cause } = outcome.error()
    return `${code}: ${String((cause as { details?: { reason?: unknown } }).details?.reason)}`
  })
