import type { Case } from '@keelson/kernel/conformance'
import { memoryStore } from '../../limiter/memory.ts'
import { virtualClock } from '@keelson/kernel/testing'
import type { QuotaSpec, StoreAnswer } from '../../limiter/store.ts'
import { calendar, LONG_MS, storeCase, tokensOf, window, WINDOWS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const SHORT_MS = 150
const ROUNDS = 40
/** How exact a store must be about its own time. */
const EXACT_MS = 1

/** The store's instants of all that a greedy caller was granted, and what each answer said. */
async function greedy(stage: Stage, spec: QuotaSpec): Promise<{ answers: StoreAnswer[]; grantedMs: number[] }> {
  const subject = stage.someSubject()
  const answers: StoreAnswer[] = []
  // Somewhere within a window, as a fixed one would begin.
  await stage.elapse(SHORT_MS * (0.3 + 0.4 * stage.random()))
  for (let i = 0; i < ROUNDS; i++) {
    answers.push(await stage.store.take(subject, [spec], 1))
    await stage.elapse(Math.floor(stage.random() * 12))
  }
  return { answers, grantedMs: answers.filter(({ granted }) => granted > 0).map(({ nowMs }) => nowMs) }
}

/** The most units in any window of this length. */
function most(grantedMs: readonly number[], windowMs: number): number {
  return Math.max(...grantedMs.map((endMs) => within(grantedMs, endMs, windowMs - EXACT_MS)))
}

function within(grantedMs: readonly number[], endMs: number, windowMs: number): number {
  return grantedMs.filter((ms) => ms <= endMs && endMs - ms < windowMs).length
}

/** What passes with time: only the store's counts. */
export const timeCases: readonly Case<StoreUnderTest>[] = [
  storeCase('what was refused fits when its wait is over', async (stage) => {
    const { store, someSubject, exhaust, elapse, equal } = stage
    for (const algorithm of WINDOWS) {
      const spec = window(algorithm, 3, SHORT_MS)
      const subject = someSubject()
      const { refused } = await exhaust(subject, [spec])
      await elapse(refused.quotas[0]!.retryAfterMs)
      equal((await store.take(subject, [spec], 1)).granted, 1, algorithm)
      await elapse(2 * SHORT_MS)
      equal((await store.take(subject, [spec], 3)).granted, 3, `${algorithm}: all is free again`)
    }
  }),

  storeCase(
    'not a ms earlier',
    async ({ store, someSubject, elapse, equal }) => {
      for (const algorithm of WINDOWS) {
        const spec = window(algorithm, 3, SHORT_MS)
        const subject = someSubject()
        await store.take(subject, [spec], 3)
        await elapse(17)
        const { retryAfterMs } = (await store.take(subject, [spec], 1)).quotas[0]!
        if (retryAfterMs === 0) continue // the turn of a fixed window
        await elapse(retryAfterMs - 1)
        equal((await store.take(subject, [spec], 1)).granted, 0, algorithm)
        await elapse(1)
        equal((await store.take(subject, [spec], 1)).granted, 1, algorithm)
      }
    },
    'elapse',
  ),

  storeCase('a log admits its limit in any window, and refuses nothing that fits', async (stage) => {
    const { answers, grantedMs } = await greedy(stage, window('log', 4, SHORT_MS))
    stage.ok(most(grantedMs, SHORT_MS) <= 4, `${most(grantedMs, SHORT_MS)} of 4 in a window`)
    for (const { granted, nowMs } of answers)
      if (granted === 0) stage.ok(within(grantedMs, nowMs, SHORT_MS + EXACT_MS) >= 4, 'refused, with the window full')
  }),

  storeCase('buckets admit their limit in any window, and refuse for at most a sixtieth longer', async (stage) => {
    const { answers, grantedMs } = await greedy(stage, window('buckets', 4, SHORT_MS))
    stage.ok(most(grantedMs, SHORT_MS) <= 4, `${most(grantedMs, SHORT_MS)} of 4 in a window`)
    for (const { granted, nowMs } of answers)
      if (granted === 0)
        stage.ok(within(grantedMs, nowMs, SHORT_MS * (61 / 60) + EXACT_MS) >= 4, 'refused, with the window full')
  }),

  storeCase('gcra admits burst and limit in any window, evenly, and fills in one', async (stage) => {
    const spec = { ...window('gcra', 12, SHORT_MS), burst: 3 } as QuotaSpec
    const { grantedMs } = await greedy(stage, spec)
    stage.ok(most(grantedMs, SHORT_MS) <= 15, `${most(grantedMs, SHORT_MS)} of 15 in a window`)
    stage.ok(most(grantedMs, SHORT_MS / 12) <= 4, 'burst and one more in a twelfth of it')
    const passedMs = grantedMs.at(-1)! - grantedMs[0]!
    const least = Math.min(grantedMs.length, Math.floor((passedMs / SHORT_MS) * 12 * 0.5))
    stage.ok(grantedMs.length >= Math.min(least, ROUNDS / 4), `${grantedMs.length} in ${passedMs} ms`)
  }),

  storeCase('a fixed window begins at a multiple of its length', async (stage) => {
    const { answers, grantedMs } = await greedy(stage, window('fixed', 4, SHORT_MS))
    const endsMs = answers.filter(({ granted }) => granted > 0).map(({ nowMs, quotas }) => nowMs + quotas[0]!.resetMs)
    for (const endMs of endsMs) {
      const awayMs = Math.abs(endMs - Math.round(endMs / SHORT_MS) * SHORT_MS)
      stage.ok(awayMs <= 2 * EXACT_MS, `it ends ${awayMs} ms away from a turn`)
    }
    const turns = Map.groupBy(endsMs, (endMs) => Math.round(endMs / SHORT_MS))
    for (const [, units] of turns) stage.ok(units.length <= 4, `${units.length} of 4`)
    stage.ok(turns.size === 1 || grantedMs.length > 4, 'each window has its own')
  }),

  storeCase('the store says which period of a calendar it is, whatever its caller believes', async (stage) => {
    const { store, someSubject, now, equal, ok } = stage
    for (const [name, offsetMs] of [
      ['previous', LONG_MS],
      ['current', 0],
      ['next', -LONG_MS],
    ] as const) {
      const subject = someSubject()
      const begunMs = (await now()) - 1_000
      const taken = await store.take(subject, [calendar(2, begunMs + offsetMs)], 2)
      const { resetMs } = taken.quotas[0]!
      ok(resetMs <= LONG_MS - 1_000 && resetMs > LONG_MS / 2, `${name}: it ends in ${resetMs} ms`)
      const refused = await store.take(subject, [calendar(2, begunMs)], 1)
      equal(refused.granted, 0, `${name}: one period, one count`)
      ok(refused.quotas[0]!.retryAfterMs <= LONG_MS - 1_000, `${name}: again when it ends`)
      await store.refund(subject, [calendar(2, begunMs)], tokensOf(taken), 1)
      equal((await store.peek(subject, [calendar(2, begunMs)], 1)).quotas[0]!.remaining, 1, name)
    }
  }),

  storeCase('a time that is in none of the periods is told, and nothing is counted', async (stage) => {
    const { store, someSubject, now, equal, ok } = stage
    const nowMs = await now()
    for (const offsetMs of [-3 * LONG_MS, 3 * LONG_MS]) {
      const subject = someSubject()
      const log = window('log', 1)
      for (const quotas of [
        [log, calendar(1, nowMs + offsetMs)],
        [calendar(1, nowMs + offsetMs), log],
      ]) {
        const answer = await store.take(subject, quotas, 1)
        equal([answer.granted, answer.quotas.length], [0, 0])
        ok(Math.abs(answer.nowMs - nowMs) < LONG_MS, `its own time is ${answer.nowMs}`)
        equal((await store.peek(subject, quotas, 1)).quotas.length, 0)
      }
      equal((await store.take(subject, [log], 1)).granted, 1)
    }
  }),

  storeCase('a period that ends takes its count with it', async (stage) => {
    const { store, someSubject, elapse, now, equal } = stage
    const subject = someSubject()
    const spec = calendar(2, await now(), 2_000)
    const first = await store.take(subject, [spec], 2)
    equal(first.granted, 2)
    await elapse(first.quotas[0]!.resetMs)
    const second = await store.take(subject, [spec], 1)
    equal([second.granted, second.quotas[0]!.remaining], [1, 1])
    equal(first.quotas[0]!.token === second.quotas[0]!.token, false, 'another period, another token')
  }),

  storeCase(
    'step by step it answers as the memory store does',
    async ({ store, someSubject, elapse, random, equal }) => {
      const pick = (below: number): number => Math.floor(random() * below)
      for (let round = 0; round < 60; round++) {
        const clock = virtualClock()
        const model = memoryStore({ clock })
        const subject = someSubject()
        // What begins at fixed instants depends on when the model's clock began.
        const quotas = [window('log', 1 + pick(6), 50), { ...window('gcra', 1 + pick(6), 60), burst: 1 + pick(6) }]
        const taken: { theirs: string[]; ours: string[]; left: number }[] = []
        for (let step = 0; step < 20; step++) {
          const action = pick(10)
          if (action < 4) {
            const ms = pick(40)
            await clock.advance(ms)
            await elapse(ms)
          } else if (action < 8) {
            const cost = 1 + pick(3)
            const atLeast = 1 + pick(cost)
            const theirs = await store.take(subject, quotas, cost, atLeast)
            const ours = await model.take(subject, quotas, cost, atLeast)
            equal(shown(theirs), shown(ours), `take of ${cost}`)
            if (ours.granted > 0) taken.push({ theirs: tokensOf(theirs), ours: tokensOf(ours), left: ours.granted })
          } else if (action === 8) {
            equal(shown(await store.peek(subject, quotas, 2)), shown(await model.peek(subject, quotas, 2)), 'peek')
          } else {
            const of = taken[pick(taken.length)]
            const cost = Math.min(of?.left ?? 0, 1 + pick(3))
            if (of === undefined || cost === 0) continue
            of.left -= cost
            await store.refund(subject, quotas, of.theirs, cost)
            await model.refund(subject, quotas, of.ours, cost)
          }
        }
      }
    },
    'elapse',
  ),
]

function shown({ granted, quotas }: StoreAnswer): unknown {
  return [granted, quotas.map(({ remaining, retryAfterMs, resetMs }) => [remaining, retryAfterMs, resetMs])]
}
