import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import type { Begin, Claim } from '../../store.ts'
import { bytes, done, LONG_MS, print, SHORT_MS, uuidOf, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

type State = 'inflight' | 'lapsed' | 'done' | 'tombstone' | 'unknown'

/** Brings a free ref into each state in turn. */
async function inEachState(
  { someRef, won, lapsed, ended }: Stage,
  more: Partial<Claim>,
  look: (ref: RefDigest, state: State) => Promise<void>,
): Promise<void> {
  for (const state of ['inflight', 'lapsed', 'done', 'tombstone', 'unknown'] as const) {
    const ref = someRef()
    if (state === 'inflight') await won(ref, more)
    else if (state === 'lapsed') await lapsed(ref, more)
    else await ended(ref, state === 'done' ? done(1) : { kind: state }, more)
    await look(ref, state)
  }
}

/** What a caller who only wants a report meets in a state. */
const KINDS = {
  inflight: 'busy',
  lapsed: 'lapsed',
  done: 'done',
  tombstone: 'tombstone',
  unknown: 'unknown',
} as const satisfies Record<State, Begin['kind']>

const TRACE = {
  correlationId: 'corr-0001',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
}

/** What `begin` answers in every state. */
export const beginCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a free ref is yours, as first attempt', async ({ store, someRef, claim, equal, ok }) => {
    const { scope: _, op: __, ...least } = claim()
    for (const mine of [claim({ fingerprint: print(1), trace: TRACE }), least]) {
      const { fence, ...begin } = (await store.begin(someRef(), mine)) as { fence?: unknown }
      equal(begin, { kind: 'yours', attempt: 1 })
      ok(typeof fence === 'bigint' && fence > 0n, `a fence is a bigint over 0, not ${String(fence)}`)
    }
  }),

  storeCase('a claim whose lease is alive keeps all others out, and tells what is left of it', async (stage) => {
    const { store, someRef, claim, won, equal, ok } = stage
    const ref = someRef()
    const own = await won(ref, { leaseMs: 2 * LONG_MS })
    for (const onLapsed of ['take', 'report'] as const) {
      const busy = await store.begin(ref, claim({ onLapsed }))
      equal(Object.keys(busy).toSorted(), ['kind', 'leaseLeftMs'])
      const { leaseLeftMs } = busy as { leaseLeftMs: number }
      ok(leaseLeftMs > LONG_MS && leaseLeftMs <= 2 * LONG_MS, `${leaseLeftMs} ms left`)
    }
    equal(await store.touch(ref, own, LONG_MS / 2), 'ok')
    const { leaseLeftMs } = (await store.begin(ref, claim())) as { leaseLeftMs: number }
    ok(leaseLeftMs > 0 && leaseLeftMs <= LONG_MS / 2, `${leaseLeftMs} ms left`)
  }),

  storeCase('a begin that is sent again is the same claim', async ({ store, someRef, claim, together, equal }) => {
    const ref = someRef()
    const mine = claim({ fingerprint: print(1), trace: TRACE })
    const [first, ...others] = await together(3, () => store.begin(ref, mine))
    equal(first?.kind, 'yours')
    for (const again of [...others, await store.begin(ref, mine)]) equal(again, first)
    equal((await store.peek(ref))?.attempt, 1)
  }),

  storeCase('a begin that is sent again has its lease again, also when that was over', async (stage) => {
    const { store, someRef, claim, kindOf, leaseIsOver, equal } = stage
    const ref = someRef()
    const mine = claim({ leaseMs: SHORT_MS })
    const first = await store.begin(ref, mine)
    await leaseIsOver(ref)
    equal(await store.begin(ref, { ...mine, leaseMs: LONG_MS }), first)
    equal(await kindOf(ref), 'busy')
  }),

  storeCase('a begin that is sent again after a take-over is only another caller', async (stage) => {
    const { store, someRef, claim, won, leaseIsOver, equal } = stage
    const ref = someRef()
    const mine = claim({ leaseMs: SHORT_MS })
    await store.begin(ref, mine)
    await leaseIsOver(ref)
    const second = await won(ref)
    equal((await store.begin(ref, mine)).kind, 'busy')
    equal(await store.settle(ref, second, done(2), LONG_MS), 'ok')
    equal((await store.begin(ref, mine)).kind, 'done')
  }),

  storeCase('a begin that is sent again after its end is told the end', async ({ store, someRef, claim, equal }) => {
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const mine = claim()
      const begin = (await store.begin(ref, mine)) as Extract<Begin, { kind: 'yours' }>
      equal(await store.settle(ref, { nonce: mine.nonce, fence: begin.fence }, as, LONG_MS), 'ok')
      equal((await store.begin(ref, mine)).kind, as.kind)
    }
  }),

  storeCase('another fingerprint is refused first, whatever the state', async (stage) => {
    const { store, claim, equal } = stage
    await inEachState(stage, { fingerprint: print(1) }, async (ref, state) => {
      const lastBit = print(1)
      lastBit.digest[31]! ^= 1
      for (const fingerprint of [print(2), lastBit]) {
        for (const onLapsed of ['report', 'take'] as const) {
          equal(await store.begin(ref, claim({ fingerprint, onLapsed })), { kind: 'mismatch' }, state)
        }
      }
      const same = await store.begin(ref, claim({ fingerprint: print(1), onLapsed: 'report' }))
      equal(same.kind, KINDS[state])
      equal('fingerprintSkipped' in same, false, state)
    })
  }),

  storeCase('another fingerprint under the same nonce is refused too', async ({ store, someRef, claim, equal }) => {
    const ref = someRef()
    const mine = claim({ fingerprint: print(1) })
    equal((await store.begin(ref, mine)).kind, 'yours')
    equal(await store.begin(ref, { ...mine, fingerprint: print(2) }), { kind: 'mismatch' })
    equal((await store.begin(ref, mine)).kind, 'yours')
  }),

  storeCase('fingerprints of two algorithms are not compared, and that is told', async (stage) => {
    const { store, claim, equal } = stage
    await inEachState(stage, { fingerprint: print(1, 'json') }, async (ref, state) => {
      const begin = await store.begin(ref, claim({ fingerprint: print(2, 'raw'), onLapsed: 'report' }))
      equal([begin.kind, (begin as { fingerprintSkipped?: true }).fingerprintSkipped], [KINDS[state], true])
    })
  }),

  storeCase('where one side has no fingerprint nothing is compared, and nothing told', async (stage) => {
    const { store, claim, equal } = stage
    for (const [kept, brought] of [
      [{ fingerprint: print(1) }, {}],
      [{}, { fingerprint: print(2) }],
    ] as const) {
      await inEachState(stage, kept, async (ref, state) => {
        const begin = await store.begin(ref, claim({ ...brought, onLapsed: 'report' }))
        equal([begin.kind, 'fingerprintSkipped' in begin], [KINDS[state], false])
      })
    }
  }),

  storeCase('each algorithm is its own', async ({ someRef, won, kindOf, equal }) => {
    for (const alg of ['raw', 'json', 'multipart', 'custom'] as const) {
      const ref = someRef()
      await won(ref, { fingerprint: print(1, alg) })
      equal(await kindOf(ref, { fingerprint: print(1, alg) }), 'busy', alg)
      equal(await kindOf(ref, { fingerprint: print(2, alg) }), 'mismatch', alg)
    }
  }),

  storeCase('a done record gives its answer, its run and its trace to everybody', async (stage) => {
    const { store, someRef, claim, ended, equal, sameBytes } = stage
    for (const trace of [TRACE, { correlationId: '0af76519-16cd-43dd-8448-eb211c80319c' }, undefined]) {
      const ref = someRef()
      const own = await ended(ref, done(0, 255, 128, 10, 13), trace === undefined ? {} : { trace })
      for (const onLapsed of ['take', 'report'] as const) {
        const begin = await store.begin(ref, claim({ onLapsed, trace: { correlationId: 'another' } }))
        const { bytes: answer, ...others } = begin as Extract<Begin, { kind: 'done' }>
        sameBytes(answer, bytes(0, 255, 128, 10, 13))
        const expected = { kind: 'done', attempt: 1, operationId: uuidOf(own.nonce) }
        equal({ ...others }, trace === undefined ? expected : { ...expected, trace })
      }
    }
  }),

  storeCase('a tombstone tells its run, and never runs again', async ({ store, someRef, claim, ended, equal }) => {
    const ref = someRef()
    const own = await ended(ref, { kind: 'tombstone' })
    for (const onLapsed of ['take', 'report'] as const) {
      const begin = await store.begin(ref, claim({ onLapsed }))
      equal(begin, { kind: 'tombstone', attempt: 1, operationId: uuidOf(own.nonce) })
    }
  }),

  storeCase('an unknown end stays unknown, also for who would take over', async (stage) => {
    const { store, someRef, claim, ended, equal } = stage
    const ref = someRef()
    await ended(ref, { kind: 'unknown' })
    for (const onLapsed of ['take', 'report'] as const) {
      equal(await store.begin(ref, claim({ onLapsed })), { kind: 'unknown' })
    }
  }),

  storeCase('a lapsed record is reported to who asks for a report, which changes nothing', async (stage) => {
    const { store, someRef, claim, lapsed, equal } = stage
    const ref = someRef()
    const own = await lapsed(ref)
    for (let looks = 0; looks < 2; looks++) {
      equal(await store.begin(ref, claim({ onLapsed: 'report' })), { kind: 'lapsed', attempt: 1 })
    }
    equal(await store.settle(ref, own, done(1), LONG_MS), 'ok')
  }),

  storeCase('a lapsed record is taken over: next attempt, higher fence, what was saved', async (stage) => {
    const { store, someRef, lapsed, won, leaseIsOver, equal, ok, sameBytes } = stage
    const ref = someRef()
    const first = await lapsed(ref, { fingerprint: print(1) })
    equal(first.attempt, 1)
    equal(await store.touch(ref, first, SHORT_MS, bytes(7, 8)), 'ok')
    await leaseIsOver(ref)
    const second = await won(ref, { fingerprint: print(1), leaseMs: SHORT_MS })
    equal(second.attempt, 2)
    ok(second.fence > first.fence, 'the fence of a take-over is higher')
    sameBytes(second.checkpoint, bytes(7, 8))
    await leaseIsOver(ref)
    const third = await won(ref, { fingerprint: print(1) })
    equal(third.attempt, 3)
    ok(third.fence > second.fence, 'the fence of a take-over is higher')
    sameBytes(third.checkpoint, bytes(7, 8))
  }),

  storeCase('each take-over is counted', async ({ someRef, lapsed, won, equal }) => {
    const ref = someRef()
    for (let attempt = 1; attempt <= 12; attempt++) equal((await lapsed(ref)).attempt, attempt)
    equal((await won(ref)).attempt, 13)
  }),

  storeCase('a take-over has the fingerprint of its own claim, or none', async (stage) => {
    const { store, someRef, claim, lapsed, equal } = stage
    const ref = someRef()
    await lapsed(ref, { fingerprint: print(1) })
    await lapsed(ref)
    equal(await stage.kindOf(ref, { fingerprint: print(2), onLapsed: 'report' }), 'lapsed')
    await lapsed(ref, { fingerprint: print(3) })
    equal(await store.begin(ref, claim({ fingerprint: print(2) })), { kind: 'mismatch' })
  }),

  storeCase('a take-over that is sent again is the same claim', async (stage) => {
    const { store, someRef, claim, lapsed, equal } = stage
    const ref = someRef()
    const first = await lapsed(ref)
    equal(await store.touch(ref, first, SHORT_MS, bytes(7)), 'ok')
    await stage.leaseIsOver(ref)
    const mine = claim()
    const taken = await store.begin(ref, mine)
    const again = await store.begin(ref, mine)
    for (const begin of [taken, again]) {
      equal({ ...begin, fence: 0, checkpoint: 0 }, { kind: 'yours', attempt: 2, fence: 0, checkpoint: 0 })
    }
    equal((again as { fence?: bigint }).fence, (taken as { fence?: bigint }).fence)
  }),

  storeCase('what a second attempt leaves is told as its own', async (stage) => {
    const { store, someRef, claim, lapsed, won, equal } = stage
    const ref = someRef()
    await lapsed(ref, { trace: { correlationId: 'first' } })
    const second = await won(ref, { trace: TRACE })
    equal(await store.settle(ref, second, done(2), LONG_MS), 'ok')
    const { bytes: answer, ...others } = (await store.begin(ref, claim())) as Extract<Begin, { kind: 'done' }>
    equal([...answer], [2])
    equal({ ...others }, { kind: 'done', attempt: 2, operationId: uuidOf(second.nonce), trace: TRACE })
  }),
]
