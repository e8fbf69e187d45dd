import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import type { RecordView } from '../../store.ts'
import { bytes, done, LONG_MS, print, SHORT_MS, uuidOf, type Winner } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'
import { sweepAll } from './sweep-all.ts'

/** How long to let pass where two instants must differ. */
const APART_MS = 60

/** What operators see and do. */
export const operatorCases: readonly Case<StoreUnderTest>[] = [
  storeCase('peek shows a record in each state, without its answer', async (stage) => {
    const { store, someRef, won, ended, lapsed, equal, ok } = stage
    const free = someRef()
    equal(await store.peek(free), null)
    equal(await store.peek(free), null)

    const look = async (ref: RefDigest, own: { nonce: Uint8Array }): Promise<RecordView> => {
      const view = (await store.peek(ref))!
      if (view.operationId !== undefined) equal(view.operationId, uuidOf(own.nonce))
      if (view.op !== undefined) equal(view.op, 'POST /orders')
      ok(view.ageMs >= 0 && view.ageMs < LONG_MS / 2, `age ${view.ageMs} ms`)
      ok(view.expiresInMs > LONG_MS / 2 && view.expiresInMs <= LONG_MS + 1, `expires in ${view.expiresInMs} ms`)
      return view
    }
    const flying = someRef()
    const view = await look(flying, await won(flying))
    equal([view.state, view.attempt, view.bytes], ['inflight', 1, 0])
    ok(view.leaseLeftMs! > LONG_MS / 2 && view.leaseLeftMs! <= LONG_MS, `${view.leaseLeftMs} ms left`)

    const late = someRef()
    const { state, leaseLeftMs } = await look(late, await lapsed(late))
    equal([state, leaseLeftMs], ['inflight', 0])
    const { attempt, ...taken } = await look(late, await won(late))
    equal([taken.state, attempt], ['inflight', 2])

    for (const as of [done(1, 2, 3), { kind: 'tombstone' }, { kind: 'unknown' }] as const) {
      const ref = someRef()
      const over = await look(ref, await ended(ref, as))
      const size = as.kind === 'done' ? 3 : 0
      equal([over.state, over.attempt, over.bytes, over.leaseLeftMs], [as.kind, 1, size, undefined])
    }
  }),

  storeCase('the age of a record counts from the claim that holds it', async (stage) => {
    const { store, someRef, lapsed, won, elapse, equal, ok } = stage
    const ref = someRef()
    await lapsed(ref)
    await elapse(4 * APART_MS)
    const { ageMs } = (await store.peek(ref))!
    ok(ageMs >= 3 * APART_MS, `${ageMs} ms`)
    const second = await won(ref)
    // A claim in the record's place: both instants are read at once.
    const { ageMs: age, expiresInMs } = (await store.peek(ref))!
    ok(Math.abs(age + expiresInMs - LONG_MS) < 3 * APART_MS, `age ${age} ms, expires in ${expiresInMs} ms`)
    await elapse(APART_MS)
    equal(await store.settle(ref, second, done(1), LONG_MS), 'ok')
    ok((await store.peek(ref))!.ageMs >= APART_MS / 2, 'an end does not make a record young')
  }),

  storeCase('looking changes nothing', async ({ store, someRef, won, lapsed, elapse, equal }) => {
    const ref = someRef()
    const own = await lapsed(ref)
    await elapse(APART_MS)
    for (let looks = 0; looks < 3; looks++) equal((await store.peek(ref))?.leaseLeftMs, 0)
    equal(await store.settle(ref, own, done(1), LONG_MS), 'ok')
    const free = someRef()
    await store.peek(free)
    equal((await won(free)).attempt, 1)
  }),

  storeCase('forget removes any record but one whose lease is alive', async (stage) => {
    const { store, someRef, won, ended, lapsed, equal } = stage
    const free = someRef()
    equal(await store.clear(free, 'forget'), false)
    equal(await store.peek(free), null)
    const alive = someRef()
    const own = await won(alive)
    equal(await store.clear(alive, 'forget'), false)
    equal(await store.settle(alive, own, done(1), LONG_MS), 'ok')
    for (const end of [
      (ref: RefDigest) => ended(ref, done(1), { fingerprint: print(1) }),
      (ref: RefDigest) => ended(ref, { kind: 'tombstone' }, { fingerprint: print(1) }),
      (ref: RefDigest) => ended(ref, { kind: 'unknown' }, { fingerprint: print(1) }),
      (ref: RefDigest) => ended(ref, { kind: 'lapse' }, { fingerprint: print(1) }),
      (ref: RefDigest) => lapsed(ref, { fingerprint: print(1) }),
    ]) {
      const ref = someRef()
      await end(ref)
      equal(await store.clear(ref, 'forget'), true)
      equal(await store.clear(ref, 'forget'), false)
      equal(await store.peek(ref), null)
      const next = await won(ref, { fingerprint: print(2), onLapsed: 'report' })
      equal([next.attempt, next.checkpoint], [1, undefined])
    }
  }),

  storeCase('an unknown or lapsed record can be given back', async (stage) => {
    const { store, someRef, ended, lapsed, won, equal } = stage
    for (const end of [(ref: RefDigest) => ended(ref, { kind: 'unknown' }), lapsed]) {
      const ref = someRef()
      await end(ref)
      equal(await store.clear(ref, 'retry'), true)
      equal(await store.clear(ref, 'retry'), false)
      await won(ref, { onLapsed: 'report' })
    }
  }),

  storeCase('an unknown or lapsed record can be given an answer', async (stage) => {
    const { store, someRef, claim, ended, lapsed, equal, ok, sameBytes, answerOf } = stage
    for (const end of [
      (ref: RefDigest) => ended(ref, { kind: 'unknown' }, { fingerprint: print(1) }),
      (ref: RefDigest) => lapsed(ref, { fingerprint: print(1) }),
    ]) {
      const ref = someRef()
      const own = await end(ref)
      equal(await store.clear(ref, { bytes: bytes(9) }), true)
      sameBytes(await answerOf(ref), bytes(9))
      equal(await store.begin(ref, claim({ fingerprint: print(2) })), { kind: 'mismatch' })
      const begin = (await store.begin(ref, claim())) as { operationId: string; attempt: number }
      equal([begin.operationId, begin.attempt], [uuidOf(own.nonce), 1])
      for (const how of ['retry', { bytes: bytes(8) }] as const) equal(await store.clear(ref, how), false)
      sameBytes(await answerOf(ref), bytes(9))
      const { expiresInMs } = (await store.peek(ref))!
      ok(expiresInMs > LONG_MS / 2, `the answer lives as long as its record: ${expiresInMs} ms`)
    }
  }),

  storeCase('what has an answer, or a living owner, is neither given back nor answered', async (stage) => {
    const { store, someRef, won, ended, equal } = stage
    for (const [make, state] of [
      [won, 'inflight'],
      [(ref: RefDigest) => ended(ref, done(1)), 'done'],
      [(ref: RefDigest) => ended(ref, { kind: 'tombstone' }), 'tombstone'],
    ] as const) {
      const ref = someRef()
      await make(ref)
      for (const how of ['retry', { bytes: bytes(9) }] as const) equal(await store.clear(ref, how), false, state)
      const view = await store.peek(ref)
      equal([view?.state, view?.bytes], [state, state === 'done' ? 1 : 0])
    }
    const free = someRef()
    for (const how of ['retry', { bytes: bytes(9) }] as const) equal(await store.clear(free, how), false)
    equal(await store.peek(free), null)
  }),

  storeCase(
    'sweep removes expired records, no more than it is told, and says how many',
    async (stage) => {
      const { store, someRef, won, recordIsGone, equal, ok } = stage
      await sweepAll(stage, 1_000)
      const living = someRef()
      await won(living)
      const expired = Array.from({ length: 7 }, someRef)
      // All are claimed before one expires: a claim may remove expired records too.
      const owned: [RefDigest, Winner][] = []
      for (const ref of expired) owned.push([ref, await won(ref)])
      for (const [ref, own] of owned) equal(await store.settle(ref, own, done(1), SHORT_MS), 'ok')
      for (const ref of expired) await recordIsGone(ref)
      equal(await store.sweep!(3), 3)
      ok((await sweepAll(stage, 100)) >= 4)
      equal((await store.peek(living))?.state, 'inflight')
    },
    'sweep',
  ),

  storeCase(
    'sweep leaves what was renewed or answered since its first expiry',
    async (stage) => {
      const { store, someRef, won, elapse, ended, equal } = stage
      const [renewed, answered] = [someRef(), someRef()]
      const own = await won(renewed, { leaseMs: LONG_MS, retainMs: SHORT_MS })
      equal(await store.touch(renewed, own, 2 * LONG_MS), 'ok')
      await ended(answered, done(1), { leaseMs: LONG_MS, retainMs: SHORT_MS })
      await elapse(2 * SHORT_MS)
      await sweepAll(stage, 1_000)
      equal((await store.peek(renewed))?.state, 'inflight')
      equal((await store.peek(answered))?.state, 'done')
    },
    'sweep',
  ),

  storeCase(
    'sweep leaves a record whose lease has lapsed: lapsed is not expired',
    async (stage) => {
      const { store, someRef, lapsed, won, equal } = stage
      const ref = someRef()
      const own = await lapsed(ref)
      equal(await store.touch(ref, own, SHORT_MS, bytes(7)), 'ok')
      await stage.leaseIsOver(ref)
      await sweepAll(stage, 1_000)
      equal(await stage.kindOf(ref, { onLapsed: 'report' }), 'lapsed')
      const next = await won(ref)
      equal([next.attempt, next.checkpoint?.[0]], [2, 7])
    },
    'sweep',
  ),

  storeCase(
    'counts tells how many records are in each state',
    async (stage) => {
      const { store, someRef, won, ended, equal } = stage
      if (store.sweep !== undefined) await sweepAll(stage, 1_000)
      const before = await store.counts!()
      for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }, { kind: 'lapse' }] as const) {
        await ended(someRef(), as)
      }
      await ended(someRef(), done(1))
      await ended(someRef(), { kind: 'release' })
      await won(someRef())
      const after = await store.counts!()
      const more = (['inflight', 'done', 'tombstone', 'unknown'] as const).map(
        (state) => (after[state] ?? 0) - (before[state] ?? 0),
      )
      equal(more, [2, 2, 1, 1])
    },
    'counts',
  ),

  storeCase(
    'stuck lists what is unknown or lapsed, the oldest claim first, and no more than it is told',
    async (stage) => {
      const { store, someRef, won, ended, lapsed, elapse, equal } = stage
      for (const { ref } of await store.stuck!(1_000)) await store.clear(ref, 'forget')
      await won(someRef())
      await ended(someRef(), done(1))
      await ended(someRef(), { kind: 'tombstone' })
      const [first, second, third] = [someRef(), someRef(), someRef()]
      await ended(first, { kind: 'unknown' })
      await elapse(APART_MS)
      await lapsed(second)
      await elapse(APART_MS)
      await ended(third, { kind: 'lapse' })
      const rows = await store.stuck!(10)
      const named = rows.map(({ ref, state }) => [Buffer.from(ref).toString('hex'), state])
      const hex = (ref: RefDigest): string => Buffer.from(ref).toString('hex')
      equal(named, [
        [hex(first), 'unknown'],
        [hex(second), 'inflight'],
        [hex(third), 'inflight'],
      ])
      equal((await store.stuck!(2)).length, 2)
      for (const { ref, leaseLeftMs } of rows.slice(1)) {
        equal(leaseLeftMs, 0)
        equal(await store.clear(ref, 'retry'), true)
      }
      equal((await store.stuck!(10)).length, 1)
      equal(await store.clear(first, 'forget'), true)
    },
    'stuck',
  ),
]
