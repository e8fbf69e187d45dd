import type { Case } from '@keelson/kernel/conformance'
import { bytes, done, LONG_MS, SHORT_MS } from '../stage.ts'
import type { TransactionalStoreUnderTest } from '../store-under-test.ts'
import { txCase } from './tx-stage.ts'

/** Effects of a claim that was committed first: with its fenced end, or not at all. */
export const settleEffectCases: readonly Case<TransactionalStoreUnderTest>[] = [
  txCase('effects are committed with the end, and a repeat runs none of them', async (stage) => {
    const { store, someRef, won, row, rows, together, equal } = stage
    for (const as of [done(1), { kind: 'tombstone' }] as const) {
      const ref = someRef()
      const own = await won(ref)
      const effects = [row(`${as.kind} 1`), row(`${as.kind} 2`)]
      const settle = () => store.settle(ref, own, as, LONG_MS, effects)
      equal([...(await together(3, settle)), await settle()], ['ok', 'ok', 'ok', 'ok'])
      equal((await store.peek(ref))?.state, as.kind)
    }
    equal(await rows(), ['done 1', 'done 2', 'tombstone 1', 'tombstone 2'])
  }),

  txCase('who has lost the record commits no effect', async (stage) => {
    const { store, someRef, lapsed, won, ended, recordIsGone, row, rows, equal } = stage
    const ref = someRef()
    const first = await lapsed(ref)
    const second = await won(ref)
    for (const own of [first, { ...second, fence: first.fence }, { ...second, nonce: first.nonce }]) {
      equal(await store.settle(ref, own, done(66), LONG_MS, [row('stale')]), 'lost')
    }
    equal(await store.settle(ref, second, done(2), LONG_MS, [row('winner')]), 'ok')
    equal(await store.settle(ref, first, done(66), LONG_MS, [row('stale')]), 'lost')
    equal(await store.settle(ref, second, { kind: 'tombstone' }, LONG_MS, [row('other end')]), 'lost')
    const released = someRef()
    const free = await ended(released, { kind: 'release' })
    equal(await store.settle(released, free, done(66), LONG_MS, [row('stale')]), 'lost')
    const expired = someRef()
    const late = await won(expired, { leaseMs: SHORT_MS, retainMs: SHORT_MS })
    await recordIsGone(expired)
    equal(await store.settle(expired, late, done(66), LONG_MS, [row('stale')]), 'lost')
    equal(await rows(), ['winner'])
  }),

  txCase('an effect that fails leaves the claim as it was, and no other effect', async (stage) => {
    const { store, someRef, won, row, refused, rows, equal, ok, sameBytes, answerOf } = stage
    const ref = someRef()
    const own = await won(ref)
    const failed = await store.settle(ref, own, done(1), LONG_MS, [row('before'), refused, row('behind')]).then(
      (value) => value,
      (error: unknown) => error,
    )
    ok(failed instanceof Error, `it resolved with ${String(failed)}`)
    equal([(await store.peek(ref))?.state, await rows()], ['inflight', []])
    equal(await store.settle(ref, own, done(2), LONG_MS, [row('effect')]), 'ok')
    sameBytes(await answerOf(ref), bytes(2))
    equal(await rows(), ['effect'])
  }),

  txCase('a late settle and a take-over at once: the effects of one of the two', async (stage) => {
    const { store, someRef, claim, lapsed, row, rows, together, equal } = stage
    let settled = 0
    for (let round = 0; round < 3; round++) {
      const ref = someRef()
      const first = await lapsed(ref)
      const results = await together(5, async (i) =>
        i === 2 * round ? store.settle(ref, first, done(1), LONG_MS, [row('late')]) : store.begin(ref, claim()),
      )
      if (results[2 * round] === 'ok') settled++
    }
    equal((await rows()).length, settled)
  }),
]
