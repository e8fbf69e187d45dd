import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import type { Own, Settlement } from '../../store.ts'
import { bytes, done, LONG_MS, SHORT_MS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'
import { sweepAll } from './sweep-all.ts'

const ENDS: readonly Settlement[] = [
  done(66),
  { kind: 'tombstone' },
  { kind: 'release' },
  { kind: 'unknown' },
  { kind: 'lapse' },
]

/** Nobody but the owner ends or renews a record: 'lost', and it is as before. */
async function changesNothing({ store, equal }: Stage, ref: RefDigest, stale: Own): Promise<void> {
  const look = async (): Promise<object | null> => {
    const view = await store.peek(ref)
    return view === null ? null : { ...view, ageMs: 0, expiresInMs: 0, leaseLeftMs: (view.leaseLeftMs ?? 0) > 0 }
  }
  const before = await look()
  equal(await store.touch(ref, stale, 2 * LONG_MS, bytes(66)), 'lost', 'touch')
  for (const as of ENDS) equal(await store.settle(ref, stale, as, LONG_MS), 'lost', `settle as ${as.kind}`)
  equal(await look(), before)
}

/** Nonce and fence: both, always. */
export const ownershipCases: readonly Case<StoreUnderTest>[] = [
  storeCase('who lost the record to a take-over changes nothing', async (stage) => {
    const { store, someRef, lapsed, won, equal, sameBytes, answerOf } = stage
    const ref = someRef()
    const first = await lapsed(ref)
    const second = await won(ref)
    await changesNothing(stage, ref, first)
    equal(await store.settle(ref, second, done(2), LONG_MS), 'ok')
    await changesNothing(stage, ref, first)
    sameBytes(await answerOf(ref), bytes(2))
  }),

  storeCase('half of the proof is none', async (stage) => {
    const { store, someRef, claim, lapsed, won, equal } = stage
    const ref = someRef()
    const first = await lapsed(ref)
    const second = await won(ref)
    const lastBit = new Uint8Array(second.nonce)
    lastBit[15]! ^= 1
    const { nonce, fence } = second
    for (const half of [
      { nonce: first.nonce, fence },
      { nonce: claim().nonce, fence },
      { nonce: lastBit, fence },
      { nonce, fence: first.fence },
      { nonce, fence: fence - 1n },
      { nonce, fence: fence + 1n },
    ]) {
      await changesNothing(stage, ref, half)
    }
    equal(await store.touch(ref, second, LONG_MS), 'ok')
  }),

  storeCase('a claim proves nothing for another ref', async (stage) => {
    const { someRef, won } = stage
    const [mine, other, free] = [someRef(), someRef(), someRef()]
    const own = await won(mine)
    await won(other)
    await changesNothing(stage, other, own)
    await changesNothing(stage, free, own)
  }),

  storeCase('a claim that was released proves nothing for the next one', async (stage) => {
    const { store, someRef, ended, won, equal } = stage
    const ref = someRef()
    const first = await ended(ref, { kind: 'release' })
    equal(await store.touch(ref, first, LONG_MS), 'lost')
    equal(await store.settle(ref, first, done(1), LONG_MS), 'lost')
    equal(await store.peek(ref), null)
    await won(ref)
    await changesNothing(stage, ref, first)
  }),

  storeCase('a claim whose nonce claims again is two claims', async (stage) => {
    const { store, someRef, claim, equal, ok } = stage
    const ref = someRef()
    const mine = claim()
    const first = (await store.begin(ref, mine)) as { fence: bigint }
    equal(await store.settle(ref, { nonce: mine.nonce, fence: first.fence }, { kind: 'release' }, LONG_MS), 'ok')
    const second = (await store.begin(ref, mine)) as { fence: bigint }
    ok(second.fence > first.fence)
    await changesNothing(stage, ref, { nonce: mine.nonce, fence: first.fence })
  }),

  storeCase('a record that has expired or was forgotten is nobody’s', async (stage) => {
    const { store, someRef, won, lapsed, recordIsGone, equal } = stage
    const expired = someRef()
    const late = await won(expired, { leaseMs: SHORT_MS, retainMs: SHORT_MS })
    await recordIsGone(expired)
    await changesNothing(stage, expired, late)
    const forgotten = someRef()
    const old = await lapsed(forgotten)
    equal(await store.clear(forgotten, 'forget'), true)
    await changesNothing(stage, forgotten, old)
    await won(forgotten)
    await changesNothing(stage, forgotten, old)
  }),

  storeCase('an operator’s answer shuts the old owner out', async (stage) => {
    const { store, someRef, lapsed, ended, equal, sameBytes, answerOf } = stage
    for (const end of [lapsed, (ref: RefDigest) => ended(ref, { kind: 'unknown' })]) {
      const ref = someRef()
      const old = await end(ref)
      equal(await store.clear(ref, { bytes: bytes(9) }), true)
      await changesNothing(stage, ref, old)
      sameBytes(await answerOf(ref), bytes(9))
    }
  }),

  storeCase('the end of a run cannot be changed, not by its owner either', async (stage) => {
    const { store, someRef, ended, equal } = stage
    for (const as of ENDS.filter(({ kind }) => kind !== 'release' && kind !== 'lapse')) {
      const ref = someRef()
      const own = await ended(ref, as)
      for (const other of ENDS) {
        if (other.kind !== as.kind) equal(await store.settle(ref, own, other, LONG_MS), 'lost', `${as.kind} kept`)
      }
      equal(await store.touch(ref, own, LONG_MS, bytes(1)), 'lost')
      equal((await store.peek(ref))?.state, as.kind)
    }
  }),
]

/** Fences only grow. */
export const fenceCases: readonly Case<StoreUnderTest>[] = [
  storeCase('the fence of a ref grows over each way in which a claim can end', async (stage) => {
    const { store, someRef, won, leaseIsOver, recordIsGone, equal, ok } = stage
    const ref = someRef()
    const ways: Record<string, (own: Own) => Promise<void>> = {
      async release(own) {
        equal(await store.settle(ref, own, { kind: 'release' }, LONG_MS), 'ok')
      },
      async lapse(own) {
        equal(await store.settle(ref, own, { kind: 'lapse' }, LONG_MS), 'ok')
      },
      async 'take-over'(own) {
        equal(await store.touch(ref, own, SHORT_MS), 'ok')
        await leaseIsOver(ref)
      },
      async expiry(own) {
        equal(await store.settle(ref, own, done(1), SHORT_MS), 'ok')
        await recordIsGone(ref)
      },
      async forget(own) {
        equal(await store.settle(ref, own, done(1), LONG_MS), 'ok')
        equal(await store.clear(ref, 'forget'), true)
      },
      async retry(own) {
        equal(await store.settle(ref, own, { kind: 'unknown' }, LONG_MS), 'ok')
        equal(await store.clear(ref, 'retry'), true)
      },
      async answer(own) {
        equal(await store.settle(ref, own, { kind: 'unknown' }, LONG_MS), 'ok')
        equal(await store.clear(ref, { bytes: bytes(1) }), true)
        equal(await store.clear(ref, 'forget'), true)
      },
    }
    let last = await won(ref)
    // Twice: each way follows on each attempt's number, and on a first one.
    for (const [way, end] of [...Object.entries(ways), ...Object.entries(ways)]) {
      await end(last)
      const next = await won(ref)
      ok(next.fence > last.fence, `over ${way}: ${last.fence}, then ${next.fence}`)
      last = next
    }
  }),

  storeCase(
    'the fence of a ref grows over a sweep',
    async (stage) => {
      const { store, someRef, won, recordIsGone, equal, ok } = stage
      const ref = someRef()
      const first = await won(ref)
      equal(await store.settle(ref, first, done(1), SHORT_MS), 'ok')
      await recordIsGone(ref)
      await sweepAll(stage, 100)
      ok((await won(ref)).fence > first.fence)
    },
    'sweep',
  ),
]
