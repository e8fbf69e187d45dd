import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import { bytes, done, LONG_MS, print, SHORT_MS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

const CALLERS = 50

/** The kinds that so many callers at once are answered, sorted. */
async function kindsOf({ together, kindOf }: Stage, ref: RefDigest, callers = CALLERS): Promise<string[]> {
  const kinds: string[] = await together(callers, () => kindOf(ref))
  return kinds.toSorted()
}

/** One winner among so many, and nobody is told anything else. */
function oneOf(callers: number): string[] {
  return [...Array.from({ length: callers - 1 }, () => 'busy'), 'yours']
}

/** What many callers see who come at once: each method is one atomic step. */
export const raceCases: readonly Case<StoreUnderTest>[] = [
  storeCase('one of a hundred callers at once gets a free ref', async (stage) => {
    const ref = stage.someRef()
    stage.equal(await kindsOf(stage, ref, 100), oneOf(100))
    stage.equal((await stage.store.peek(ref))?.attempt, 1)
  }),

  storeCase('many refs at once are as many claims', async ({ someRef, won, together, equal }) => {
    const owns = await together(CALLERS, () => won(someRef()))
    equal(
      owns.every(({ attempt }) => attempt === 1),
      true,
    )
  }),

  storeCase('one of fifty callers at once takes a lapsed record over', async (stage) => {
    const { store, someRef, lapsed, equal } = stage
    const ref = someRef()
    const first = await lapsed(ref)
    equal(await kindsOf(stage, ref), oneOf(CALLERS))
    equal((await store.peek(ref))?.attempt, 2)
    equal(await store.settle(ref, first, done(1), LONG_MS), 'lost')
  }),

  storeCase('one of fifty callers at once gets an expired ref', async (stage) => {
    const { store, someRef, won, recordIsGone, equal } = stage
    const ref = someRef()
    equal(await store.settle(ref, await won(ref), done(1), SHORT_MS), 'ok')
    await recordIsGone(ref)
    equal(await kindsOf(stage, ref), oneOf(CALLERS))
    equal((await store.peek(ref))?.attempt, 1)
  }),

  storeCase('a late settle and a take-over at once: one of the two', async (stage) => {
    const { store, someRef, claim, lapsed, equal, together, sameBytes, answerOf } = stage
    for (let round = 0; round < 5; round++) {
      const ref = someRef()
      const first = await lapsed(ref)
      const claims = Array.from({ length: 10 }, () => claim())
      // The settle comes before, between or behind the claims.
      const at = round * 2
      const results = await together(claims.length + 1, async (i) => {
        if (i === at) return store.settle(ref, first, done(1), LONG_MS)
        const mine = claims[i < at ? i : i - 1]!
        return { mine, begin: await store.begin(ref, mine) }
      })
      const settled = results[at]
      const begins = results.filter((result) => typeof result === 'object')
      const winners = begins.flatMap(({ mine, begin }) =>
        begin.kind === 'yours' ? [{ nonce: mine.nonce, fence: begin.fence }] : [],
      )
      const told = new Set(begins.map(({ begin }) => begin.kind))
      if (settled === 'ok') {
        equal(told, new Set(['done']), 'whoever settled has settled for all')
        sameBytes(await answerOf(ref), bytes(1))
      } else {
        equal([settled, winners.length, told.has('done')], ['lost', 1, false])
        equal(await store.settle(ref, winners[0]!, done(2), LONG_MS), 'ok')
        sameBytes(await answerOf(ref), bytes(2))
      }
    }
  }),

  storeCase('a late touch and a take-over at once: one of the two', async (stage) => {
    const { store, someRef, claim, lapsed, equal, together } = stage
    for (let round = 0; round < 5; round++) {
      const ref = someRef()
      const first = await lapsed(ref)
      const results = await together(11, async (i) =>
        i === round * 2 ? store.touch(ref, first, LONG_MS) : (await store.begin(ref, claim())).kind,
      )
      const touched = results[round * 2]
      const won = results.filter((result) => result === 'yours').length
      equal([touched, won], touched === 'ok' ? ['ok', 0] : ['lost', 1])
      equal(await store.settle(ref, first, done(1), LONG_MS), touched)
    }
  }),

  storeCase('two ends at once: one of the two', async (stage) => {
    const { store, someRef, won, equal, ok, together, kindOf } = stage
    const ref = someRef()
    const own = await won(ref)
    const ends = [done(1), { kind: 'tombstone' }, { kind: 'unknown' }] as const
    const results = await together(ends.length, (i) => store.settle(ref, own, ends[i]!, LONG_MS))
    equal(results.filter((result) => result === 'ok').length, 1)
    const kept = ends[results.indexOf('ok')]!.kind
    ok(kept === (await kindOf(ref)), `${kept} was told, and another one kept`)
  }),

  storeCase('a release and new callers at once: at most one of them', async (stage) => {
    const { store, someRef, won, claim, equal, ok, together } = stage
    for (let round = 0; round < 3; round++) {
      const ref = someRef()
      const first = await won(ref, { fingerprint: print(1) })
      const results: string[] = await together(CALLERS, async (i) =>
        i === round * 10
          ? store.settle(ref, first, { kind: 'release' }, LONG_MS)
          : (await store.begin(ref, claim())).kind,
      )
      equal(results[round * 10], 'ok')
      const winners = results.filter((result) => result === 'yours').length
      ok(winners <= 1, `${winners} have it`)
      equal(await stage.kindOf(ref), winners === 1 ? 'busy' : 'yours')
    }
  }),

  storeCase('one of many operators at once ends a record', async (stage) => {
    const { store, someRef, ended, together, equal } = stage
    for (const how of ['forget', 'retry', { bytes: bytes(1) }] as const) {
      const ref = someRef()
      await ended(ref, { kind: 'unknown' })
      const cleared = await together(10, () => store.clear(ref, how))
      equal(cleared.filter(Boolean).length, 1)
    }
  }),

  storeCase('an operator and a take-over at once: one of the two', async (stage) => {
    const { store, someRef, lapsed, claim, equal, together } = stage
    for (let round = 0; round < 3; round++) {
      const ref = someRef()
      await lapsed(ref)
      const results = await together(9, async (i) =>
        i === round * 4 ? store.clear(ref, { bytes: bytes(9) }) : (await store.begin(ref, claim())).kind,
      )
      const told = new Set(results.filter((result) => typeof result === 'string'))
      if (results[round * 4] === true) equal(told, new Set(['done']))
      else equal(told, new Set(['yours', 'busy']))
    }
  }),

  storeCase('a crowd that comes again and again is one claim after the other', async (stage) => {
    const { store, someRef, claim, together, equal, ok } = stage
    const ref = someRef()
    let last = 0n
    for (let round = 0; round < 5; round++) {
      const claims = Array.from({ length: 20 }, () => claim())
      const begins = await together(claims.length, (i) => store.begin(ref, claims[i]!))
      const winners = begins.flatMap((begin, i) =>
        begin.kind === 'yours' ? [{ nonce: claims[i]!.nonce, fence: begin.fence }] : [],
      )
      equal(winners.length, 1)
      ok(winners[0]!.fence > last)
      last = winners[0]!.fence
      equal(await store.settle(ref, winners[0]!, { kind: 'release' }, LONG_MS), 'ok')
    }
  }),
]
