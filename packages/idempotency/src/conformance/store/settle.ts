import type { Case } from '@keelson/kernel/conformance'
import { bytes, done, LONG_MS, print, SHORT_MS } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** How a run ends, and how its lease is renewed until then. */
export const settleCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a settle that is sent again is ok, and changes nothing more', async (stage) => {
    const { store, someRef, won, together, equal, sameBytes, answerOf } = stage
    for (const kind of ['done', 'tombstone', 'unknown', 'lapse'] as const) {
      const ref = someRef()
      const own = await won(ref)
      const as = kind === 'done' ? done(1) : { kind }
      equal(await together(3, () => store.settle(ref, own, as, LONG_MS)), ['ok', 'ok', 'ok'], kind)
      equal(await store.settle(ref, own, kind === 'done' ? done(2) : as, 2 * LONG_MS), 'ok', kind)
      if (kind === 'done') sameBytes(await answerOf(ref), bytes(1))
    }
  }),

  storeCase('who comes late but first still settles', async (stage) => {
    const { store, someRef, lapsed, equal, kindOf } = stage
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const own = await lapsed(ref)
      equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      equal(await kindOf(ref), as.kind)
    }
    const ref = someRef()
    equal(await store.settle(ref, await lapsed(ref), { kind: 'release' }, LONG_MS), 'ok')
    equal(await store.peek(ref), null)
  }),

  storeCase('a released ref is as if it had never been claimed', async (stage) => {
    const { store, someRef, won, ended, equal } = stage
    const ref = someRef()
    const first = await won(ref, { fingerprint: print(1) })
    equal(await store.touch(ref, first, LONG_MS, bytes(7)), 'ok')
    equal(await store.settle(ref, first, { kind: 'release' }, LONG_MS), 'ok')
    equal(await store.peek(ref), null)
    const second = await won(ref, { fingerprint: print(2), onLapsed: 'report' })
    equal([second.attempt, second.checkpoint], [1, undefined])
    await ended(someRef(), { kind: 'release' }, { onLapsed: 'report' })
  }),

  storeCase('a lapse ends the lease at once, and keeps attempt and checkpoint', async (stage) => {
    const { store, someRef, claim, won, equal, ok, sameBytes } = stage
    const ref = someRef()
    const first = await won(ref, { fingerprint: print(1) })
    equal(await store.touch(ref, first, LONG_MS, bytes(7)), 'ok')
    equal(await store.settle(ref, first, { kind: 'lapse' }, LONG_MS), 'ok')
    equal(await store.begin(ref, claim({ onLapsed: 'report' })), { kind: 'lapsed', attempt: 1 })
    equal(await store.begin(ref, claim({ fingerprint: print(2) })), { kind: 'mismatch' })
    const second = await won(ref)
    equal(second.attempt, 2)
    ok(second.fence > first.fence)
    sameBytes(second.checkpoint, bytes(7))
    equal(await store.settle(ref, first, { kind: 'lapse' }, LONG_MS), 'lost')
  }),

  storeCase('an end has no lease and no checkpoint any more', async (stage) => {
    const { store, someRef, won, equal, kindOf } = stage
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const own = await won(ref)
      equal(await store.touch(ref, own, LONG_MS, bytes(7, 7)), 'ok')
      equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      const view = await store.peek(ref)
      equal([view?.state, view?.leaseLeftMs, view?.bytes], [as.kind, undefined, as.kind === 'done' ? 1 : 0])
      equal(await kindOf(ref), as.kind)
    }
  }),

  storeCase('an end outlives the lease that it was made under', async (stage) => {
    const { store, someRef, won, lapsed, equal, kindOf } = stage
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const own = await won(ref, { leaseMs: SHORT_MS, retainMs: SHORT_MS * 100_000 })
      const other = someRef()
      equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      // As long has passed, by the store's clock.
      await lapsed(other)
      await lapsed(other)
      equal(await kindOf(ref), as.kind)
    }
  }),
]

/** The lease, and what is saved under it. */
export const touchCases: readonly Case<StoreUnderTest>[] = [
  storeCase('touch renews the lease from now on', async (stage) => {
    const { store, someRef, won, lapsed, equal, ok, kindOf } = stage
    const ref = someRef()
    const own = await won(ref, { leaseMs: SHORT_MS })
    equal(await store.touch(ref, own, LONG_MS), 'ok')
    await lapsed(someRef())
    await lapsed(someRef())
    equal(await kindOf(ref), 'busy')
    const { leaseLeftMs = 0 } = (await store.peek(ref))!
    ok(leaseLeftMs > LONG_MS / 2 && leaseLeftMs <= LONG_MS, `${leaseLeftMs} ms left`)
    equal(await store.touch(ref, own, SHORT_MS), 'ok')
    const shorter = (await store.peek(ref))!.leaseLeftMs!
    ok(shorter <= SHORT_MS, `${shorter} ms left`)
  }),

  storeCase('a touch that is sent again is ok; a late but first one has its lease again', async (stage) => {
    const { store, someRef, lapsed, together, equal, kindOf } = stage
    const ref = someRef()
    const own = await lapsed(ref)
    equal(await together(3, () => store.touch(ref, own, LONG_MS, bytes(1))), ['ok', 'ok', 'ok'])
    equal(await kindOf(ref), 'busy')
  }),

  storeCase('a checkpoint is kept until the next one', async (stage) => {
    const { store, someRef, won, leaseIsOver, equal, sameBytes } = stage
    const ref = someRef()
    const first = await won(ref)
    equal(first.checkpoint, undefined)
    for (const value of [1, 2, 3]) equal(await store.touch(ref, first, LONG_MS, bytes(value, value)), 'ok')
    equal(await store.touch(ref, first, SHORT_MS), 'ok')
    await leaseIsOver(ref)
    sameBytes((await won(ref)).checkpoint, bytes(3, 3))
  }),
]
