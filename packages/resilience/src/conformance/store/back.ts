import type { Case } from '@keelson/kernel/conformance'
import type { QuotaSpec } from '../../limiter/store.ts'
import { calendar, storeCase, tokensOf, window, WINDOWS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const SHORT_MS = 300

async function longSpecs({ now }: Stage): Promise<QuotaSpec[]> {
  return [...WINDOWS.map((algorithm) => window(algorithm, 5)), calendar(5, await now())]
}

/** Refunds, resets and sweeps. */
export const backCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a refund gives back so many units of its take, in every quota', async (stage) => {
    const { store, someSubject, equal } = stage
    const specs = await longSpecs(stage)
    const subject = someSubject()
    const left = async (): Promise<number[]> =>
      (await store.peek(subject, specs, 1)).quotas.map(({ remaining }) => remaining)
    const first = await store.take(subject, specs, 3)
    await store.take(subject, specs, 2)
    await store.refund(subject, specs, tokensOf(first), 1)
    equal(await left(), [1, 1, 1, 1, 1])
    await store.refund(subject, specs, tokensOf(first), 2)
    equal(await left(), [3, 3, 3, 3, 3])
    equal((await store.take(subject, specs, 3)).granted, 3)
    equal((await store.take(subject, specs, 1)).granted, 0)
  }),

  storeCase('a refund goes to the window that it came from: one that has passed gets nothing', async (stage) => {
    const { store, someSubject, elapse, now, equal } = stage
    for (const make of [
      ...WINDOWS.map((algorithm) => () => window(algorithm, 2, SHORT_MS)),
      async () => calendar(2, await now(), SHORT_MS),
    ]) {
      // Again where the machine stood still: then the second take has left too.
      for (let tries = 1; ; tries++) {
        const subject = someSubject()
        const spec = await make()
        const old = await store.take(subject, [spec], 2)
        await elapse(old.quotas[0]!.resetMs)
        // The calendar of the call moves on with the time.
        const later = await make()
        const next = await store.take(subject, [later], 2)
        equal([old.granted, next.granted], [2, 2], spec.algorithm)
        await store.refund(subject, [later], tokensOf(old), 2)
        const after = await store.peek(subject, [later], 1)
        if (after.nowMs - next.nowMs > next.quotas[0]!.retryAfterMs + SHORT_MS / 4 && tries < 50) continue
        if (spec.algorithm === 'fixed' && periodOf(after.nowMs) !== periodOf(next.nowMs) && tries < 50) continue
        if (spec.algorithm === 'calendar' && after.nowMs >= end(later) && tries < 50) continue
        equal(after.quotas[0]!.remaining, 0, `${spec.algorithm}: nothing is given to the window after`)
        break
      }
    }
  }),

  storeCase('a refund of a subject of whom nothing is known does nothing', async (stage) => {
    const { store, someSubject, equal } = stage
    const specs = await longSpecs(stage)
    const [taken, other] = [someSubject(), someSubject()]
    const tokens = tokensOf(await store.take(taken, specs, 2))
    await store.refund(other, specs, tokens, 2)
    equal((await store.take(other, specs, 5)).granted, 5)
    equal((await store.take(other, specs, 1)).granted, 0)
  }),

  storeCase('a reset forgets the quotas that it is given, and no others', async (stage) => {
    const { store, someSubject, equal } = stage
    const specs = await longSpecs(stage)
    const [subject, other] = [someSubject(), someSubject()]
    await store.take(subject, specs, 5)
    await store.take(other, specs, 5)
    await store.reset(subject, specs.slice(1))
    equal(
      (await store.peek(subject, specs, 1)).quotas.map(({ remaining }) => remaining),
      [0, 5, 5, 5, 5],
    )
    await store.reset(subject, specs)
    equal((await store.take(subject, specs, 5)).granted, 5)
    equal((await store.take(other, specs, 1)).granted, 0)
  }),

  storeCase(
    'a sweep removes what has expired, at most so many, and nothing else',
    async (stage) => {
      const { store, someSubject, elapse, now, equal, ok } = stage
      const living = (await longSpecs(stage)).map((spec) => ({ spec, subject: someSubject() }))
      for (const { spec, subject } of living) await store.take(subject, [spec], 5)
      const short = [...WINDOWS.map((algorithm) => window(algorithm, 1, 1)), calendar(1, await now(), 30_000)]
      const over = [...short, ...short, ...short]
      for (const spec of over) await store.take(someSubject(), [spec], 1)
      // A store may keep what has expired a little longer than it counts.
      let swept = 0
      for (let waits = 0; swept < over.length && waits < 3; waits++) {
        await elapse(62_000)
        for (let count = 1; count > 0; swept += count) {
          count = await store.sweep!(2)
          ok(count <= 2, `at most 2 at once: ${count}`)
        }
      }
      equal(swept, over.length)
      // One unit of the gcra may have flowed off by now.
      for (const { spec, subject } of living)
        equal((await store.take(subject, [spec], 2)).granted, 0, `${spec.algorithm} lives`)
    },
    'sweep',
    'elapse',
  ),
]

function periodOf(nowMs: number): number {
  return Math.floor(nowMs / SHORT_MS)
}

function end(spec: QuotaSpec): number {
  return spec.algorithm === 'calendar' ? spec.bounds[2] : Infinity
}
