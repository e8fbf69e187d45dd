import type { Case } from '@keelson/kernel/conformance'
import { bytes, done, LONG_MS, print, SHORT_MS } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** How long to let pass where two instants must differ: a multiple of every clock's step. */
const APART_MS = 60
/** The longest retention that callers may ask for; more ms than 31 bits have. */
const YEARS_MS = 3650 * 86_400_000

/** Lease and retention: two clocks, both the store's. */
export const timeCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a record expires by its retention, and is then as if it had never been', async (stage) => {
    const { store, someRef, won, recordIsGone, equal } = stage
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const own = await won(ref, { fingerprint: print(1) })
      equal(await store.touch(ref, own, LONG_MS, bytes(7)), 'ok')
      equal(await store.settle(ref, own, as, SHORT_MS), 'ok')
      await recordIsGone(ref)
      equal(await store.clear(ref, 'forget'), false)
      equal(await store.clear(ref, { bytes: bytes(1) }), false)
      const next = await won(ref, { fingerprint: print(2), onLapsed: 'report' })
      equal([next.attempt, next.checkpoint], [1, undefined])
    }
  }),

  storeCase('a record in flight expires too, when nobody comes for it', async (stage) => {
    const { store, someRef, won, recordIsGone, equal } = stage
    const ref = someRef()
    const own = await won(ref, { leaseMs: SHORT_MS, retainMs: 2 * SHORT_MS, fingerprint: print(1) })
    await store.touch(ref, own, SHORT_MS, bytes(7))
    await recordIsGone(ref)
    const next = await won(ref, { fingerprint: print(2), onLapsed: 'report' })
    equal([next.attempt, next.checkpoint], [1, undefined])
  }),

  storeCase('the retention of an answer counts from its completion, not from its claim', async (stage) => {
    const { store, someRef, won, elapse, equal, ok } = stage
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const own = await won(ref)
      await elapse(APART_MS)
      equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      // Read together, so that no pause of the machine stands between them.
      const { ageMs, expiresInMs } = (await store.peek(ref))!
      ok(ageMs + expiresInMs >= LONG_MS + APART_MS / 2, `${expiresInMs} ms left at the age of ${ageMs} ms`)
      ok(expiresInMs <= LONG_MS + 1, `${expiresInMs} ms left of ${LONG_MS}`)
    }
  }),

  storeCase('an answer lives as long as its settle says, whatever its claim said', async (stage) => {
    const { store, someRef, won, recordIsGone, equal, ok } = stage
    const longer = someRef()
    equal(await store.settle(longer, await won(longer), done(1), 2 * LONG_MS), 'ok')
    ok((await store.peek(longer))!.expiresInMs > LONG_MS)
    const shorter = someRef()
    const long = await won(shorter, { retainMs: 10 * LONG_MS })
    equal(await store.settle(shorter, long, done(1), LONG_MS), 'ok')
    ok((await store.peek(shorter))!.expiresInMs <= LONG_MS + 1)
    const soon = someRef()
    equal(await store.settle(soon, await won(soon), done(1), SHORT_MS), 'ok')
    await recordIsGone(soon)
  }),

  storeCase('a settle that is sent again does not prolong the record', async (stage) => {
    const { store, someRef, ended, equal, ok } = stage
    const ref = someRef()
    const own = await ended(ref, done(1))
    equal(await store.settle(ref, own, done(1), 9 * LONG_MS), 'ok')
    ok((await store.peek(ref))!.expiresInMs <= LONG_MS + 1)
  }),

  storeCase('a record outlives its lease by its retention, so that its fence survives', async (stage) => {
    const { store, someRef, lapsed, won, elapse, equal, ok } = stage
    const ref = someRef()
    const first = await lapsed(ref, { leaseMs: SHORT_MS, retainMs: LONG_MS })
    await elapse(APART_MS)
    ok(((await store.peek(ref))?.expiresInMs ?? 0) > LONG_MS / 2, 'the record of a lost owner is there')
    const second = await won(ref)
    equal(second.attempt, 2)
    equal(await store.settle(ref, first, done(1), LONG_MS), 'lost')
  }),

  storeCase('a lease that is longer than the retention keeps its record', async (stage) => {
    const { store, someRef, claim, won, lapsed, ended, equal, kindOf } = stage
    const begun = someRef()
    const own = await won(begun, { leaseMs: LONG_MS, retainMs: SHORT_MS })
    const touched = someRef()
    const mine = claim({ leaseMs: LONG_MS, retainMs: SHORT_MS })
    const begin = (await store.begin(touched, mine)) as { fence: bigint }
    equal(await store.touch(touched, { nonce: mine.nonce, fence: begin.fence }, 2 * LONG_MS), 'ok')
    const repeated = someRef()
    const again = claim({ leaseMs: LONG_MS, retainMs: SHORT_MS })
    await store.begin(repeated, again)
    await store.begin(repeated, { ...again, leaseMs: 2 * LONG_MS })
    await lapsed(someRef())
    await lapsed(someRef())
    for (const ref of [begun, touched, repeated]) {
      equal(await kindOf(ref), 'busy')
      const { leaseLeftMs = 0, expiresInMs } = (await store.peek(ref))!
      stage.ok(expiresInMs + 1 >= leaseLeftMs, `a lease of ${leaseLeftMs} ms, a record of ${expiresInMs} ms`)
    }
    equal(await store.settle(begun, own, done(1), LONG_MS), 'ok')
    await ended(someRef(), done(1), { leaseMs: LONG_MS, retainMs: SHORT_MS })
  }),

  storeCase('a begin that is sent again begins the lease anew, and leaves the age', async (stage) => {
    const { store, someRef, claim, elapse, leaseIsOver, equal, ok } = stage
    const ref = someRef()
    const mine = claim()
    const first = (await store.begin(ref, mine)) as { fence: bigint }
    await elapse(APART_MS)
    equal(((await store.begin(ref, { ...mine, leaseMs: SHORT_MS })) as { fence: bigint }).fence, first.fence)
    await leaseIsOver(ref)
    ok((await store.peek(ref))!.ageMs >= APART_MS / 2, 'its run began with the first')
  }),

  storeCase('a take-over has the life of its own claim', async ({ store, someRef, lapsed, won, ok }) => {
    const ref = someRef()
    await lapsed(ref, { retainMs: 9 * LONG_MS })
    await won(ref)
    const { expiresInMs } = (await store.peek(ref))!
    ok(expiresInMs <= LONG_MS + 1, `${expiresInMs} ms`)
  }),

  storeCase('a record may live for years', async ({ store, someRef, won, equal, ok }) => {
    const ref = someRef()
    const own = await won(ref, { retainMs: YEARS_MS })
    ok((await store.peek(ref))!.expiresInMs > YEARS_MS / 2, 'its claim')
    equal(await store.settle(ref, own, done(1), YEARS_MS), 'ok')
    ok((await store.peek(ref))!.expiresInMs > YEARS_MS / 2, 'its end')
  }),

  storeCase('touch never shortens the life of a record', async (stage) => {
    const { store, someRef, won, equal, ok } = stage
    const ref = someRef()
    const own = await won(ref, { retainMs: 2 * LONG_MS })
    equal(await store.touch(ref, own, SHORT_MS), 'ok')
    ok((await store.peek(ref))!.expiresInMs > LONG_MS)
    equal(await store.settle(ref, own, { kind: 'lapse' }, SHORT_MS), 'ok')
    ok((await store.peek(ref))!.expiresInMs > LONG_MS)
  }),

  storeCase('durations may be fractions of a millisecond', async ({ store, someRef, won, equal, kindOf }) => {
    const ref = someRef()
    const own = await won(ref, { leaseMs: LONG_MS + 0.5, retainMs: LONG_MS + 0.25 })
    equal(await store.touch(ref, own, LONG_MS + 0.125, bytes(1)), 'ok')
    equal(await store.settle(ref, own, done(1), LONG_MS + 0.75), 'ok')
    equal(await kindOf(ref), 'done')
  }),
]
