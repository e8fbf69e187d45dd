import type { Case } from '@keelson/kernel/conformance'
import { calendar, longestMs, storeCase, window, WINDOWS, type Stage } from '../stage.ts'
import type { QuotaSpec } from '../../limiter/store.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** One quota of each algorithm, far from its end. */
async function each(stage: Stage, limit: number, run: (spec: QuotaSpec, subject: string) => Promise<void>) {
  for (const algorithm of WINDOWS) await run(window(algorithm, limit), stage.someSubject())
  await run(calendar(limit, await stage.now()), stage.someSubject())
}

/** What is counted, and what is not. */
export const countCases: readonly Case<StoreUnderTest>[] = [
  storeCase('as many units as the limit fit, one by one, and no more', (stage) =>
    each(stage, 3, async (spec, subject) => {
      const { store, equal, ok } = stage
      for (const remaining of [2, 1, 0]) {
        const answer = await store.take(subject, [spec], 1)
        const [quota] = answer.quotas
        equal([answer.granted, quota!.remaining, quota!.retryAfterMs], [1, remaining, 0], spec.algorithm)
        ok(quota!.resetMs > 0 && quota!.resetMs <= longestMs(spec), `${spec.algorithm}: reset in ${quota!.resetMs}`)
        ok(quota!.token !== '', `${spec.algorithm}: a token`)
      }
      const { granted, quotas } = await store.take(subject, [spec], 1)
      const [{ remaining, retryAfterMs, resetMs, token }] = quotas as [(typeof quotas)[0]]
      equal([granted, remaining, token], [0, 0, ''], spec.algorithm)
      ok(retryAfterMs > 0 && retryAfterMs <= longestMs(spec), `${spec.algorithm}: again in ${retryAfterMs}`)
      ok(resetMs >= retryAfterMs && resetMs <= longestMs(spec), `${spec.algorithm}: reset in ${resetMs}`)
      ok(Number.isInteger(retryAfterMs) && Number.isInteger(resetMs), `${spec.algorithm}: whole ms`)
    }),
  ),

  storeCase('a cost is counted whole, and refused whole', (stage) =>
    each(stage, 10, async (spec, subject) => {
      const { store, equal } = stage
      const costs = [4, 4, 3, 2, 1]
      const granted: number[] = []
      for (const cost of costs) granted.push((await store.take(subject, [spec], cost)).granted)
      equal(granted, [4, 4, 0, 2, 0], spec.algorithm)
    }),
  ),

  storeCase('who asks for at least so many gets as many as fit, or none', (stage) =>
    each(stage, 10, async (spec, subject) => {
      const { store, equal } = stage
      equal((await store.take(subject, [spec], 7, 1)).granted, 7, spec.algorithm)
      equal((await store.take(subject, [spec], 7, 4)).granted, 0, spec.algorithm)
      const part = await store.take(subject, [spec], 7, 3)
      equal([part.granted, part.quotas[0]!.remaining], [3, 0], spec.algorithm)
    }),
  ),

  storeCase('what is over the limit never fits', (stage) =>
    each(stage, 3, async (spec, subject) => {
      const { store, equal } = stage
      const { granted, quotas } = await store.take(subject, [spec], 4)
      equal([granted, quotas[0]!.remaining, quotas[0]!.retryAfterMs], [0, 3, Infinity], spec.algorithm)
      equal((await store.take(subject, [spec], 3)).granted, 3, spec.algorithm)
    }),
  ),

  storeCase('a peek tells what a take would be told, and counts nothing', (stage) =>
    each(stage, 3, async (spec, subject) => {
      const { store, equal, ok } = stage
      for (let i = 0; i < 3; i++) {
        const { granted, quotas } = await store.peek(subject, [spec], 3)
        const { remaining, retryAfterMs, resetMs, token } = quotas[0]!
        equal([granted, remaining, retryAfterMs, resetMs, token], [0, 3, 0, 0, ''], spec.algorithm)
      }
      await store.take(subject, [spec], 2)
      equal((await store.peek(subject, [spec], 1)).quotas[0]!.retryAfterMs, 0, spec.algorithm)
      const wait = (await store.peek(subject, [spec], 2)).quotas[0]!.retryAfterMs
      ok(wait > 0 && wait < Infinity, `${spec.algorithm}: two fit in ${wait}`)
      equal((await store.peek(subject, [spec], 4)).quotas[0]!.retryAfterMs, Infinity, spec.algorithm)
      equal((await store.take(subject, [spec], 1)).granted, 1, spec.algorithm)
    }),
  ),

  storeCase('subjects do not meet, and neither do quotas', (stage) =>
    each(stage, 2, async (spec, subject) => {
      const { store, someSubject, equal } = stage
      await store.take(subject, [spec], 2)
      equal((await store.take(someSubject(), [spec], 2)).granted, 2, spec.algorithm)
      equal((await store.take(`${subject}x`, [spec], 2)).granted, 2, spec.algorithm)
      for (const key of [`${spec.key}:other`, spec.key.toUpperCase()])
        equal((await store.take(subject, [{ ...spec, key }], 2)).granted, 2, key)
      equal((await store.take(subject, [spec], 1)).granted, 0, spec.algorithm)
    }),
  ),

  storeCase('all quotas give, or nothing is counted in any', async ({ store, someSubject, now, equal }) => {
    const specs = [window('log', 5), window('gcra', 6), window('buckets', 3), calendar(4, await now())]
    for (const order of [specs, specs.toReversed()]) {
      const subject = someSubject()
      equal((await store.take(subject, order, 2)).granted, 2)
      for (let i = 0; i < 3; i++) equal((await store.take(subject, order, 2)).granted, 0)
      const left = async (): Promise<number[]> =>
        (await store.peek(subject, specs, 1)).quotas.map(({ remaining }) => remaining)
      equal(await left(), [3, 4, 1, 2])
      const waits = (await store.take(subject, specs, 2)).quotas.map(({ retryAfterMs }) => retryAfterMs > 0)
      equal(waits, [false, false, true, false], 'the quota that refuses says when')
      equal((await store.take(subject, order, 3, 1)).granted, 1)
      equal(await left(), [2, 3, 0, 1])
    }
  }),

  storeCase('the limit of the call counts, whatever it was before', (stage) =>
    each(stage, 4, async (spec, subject) => {
      const { store, equal } = stage
      const lower = { ...spec, limit: 2, ...(spec.algorithm === 'gcra' ? { burst: 2 } : {}) } as QuotaSpec
      const higher = { ...spec, limit: 8, ...(spec.algorithm === 'gcra' ? { burst: 8 } : {}) } as QuotaSpec
      await store.take(subject, [spec], 4)
      const under = await store.take(subject, [lower], 1)
      equal([under.granted, under.quotas[0]!.remaining], [0, 0], spec.algorithm)
      // A bucket that is full of few slow units has no room for fast ones.
      if (spec.algorithm === 'gcra') return
      equal((await store.take(subject, [higher], 4)).granted, 4, spec.algorithm)
      equal((await store.take(subject, [higher], 8)).granted, 0, spec.algorithm)
    }),
  ),

  storeCase('a burst is what may come at once, whatever the limit', async ({ store, someSubject, equal }) => {
    const [small, large] = [2, 20].map((burst) => ({ ...window('gcra', 10), burst }) as QuotaSpec)
    equal((await store.take(someSubject(), [small!], 3)).quotas[0]!.retryAfterMs, Infinity)
    equal((await store.take(someSubject(), [large!], 20)).granted, 20)
    const subject = someSubject()
    equal([(await store.take(subject, [small!], 2)).granted, (await store.take(subject, [small!], 1)).granted], [2, 0])
  }),

  storeCase('large limits and costs are exact', async ({ store, someSubject, now, equal }) => {
    const specs = [window('buckets', 1e9), window('fixed', 1e9), calendar(1e9, await now())]
    const subject = someSubject()
    equal((await store.take(subject, specs, 999_999_999)).granted, 999_999_999)
    equal((await store.take(subject, specs, 2)).granted, 0)
    const { quotas } = await store.take(subject, specs, 1)
    equal(
      quotas.map(({ remaining }) => remaining),
      [0, 0, 0],
    )
  }),
]
