import type { Case } from '@keelson/kernel/conformance'
import { calendar, storeCase, tokensOf, window, WINDOWS } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const CALLERS = 60

/** What callers see who come at once: each method is one atomic step. */
export const raceCases: readonly Case<StoreUnderTest>[] = [
  storeCase('of sixty callers at once as many are granted as fit', async (stage) => {
    const { store, someSubject, now, together, equal } = stage
    for (const spec of [...WINDOWS.map((algorithm) => window(algorithm, 7)), calendar(7, await now())]) {
      const subject = someSubject()
      const answers = await together(CALLERS, () => store.take(subject, [spec], 1))
      equal(
        answers.map(({ granted }) => granted).reduce((sum, granted) => sum + granted),
        7,
        spec.algorithm,
      )
      equal((await store.peek(subject, [spec], 1)).quotas[0]!.remaining, 0, spec.algorithm)
    }
  }),

  storeCase('callers that name their quotas in another order do not wait for each other', async (stage) => {
    const { store, someSubject, now, together, equal } = stage
    const specs = [window('log', 9), window('gcra', 20), calendar(15, await now()), window('buckets', 30)]
    const subject = someSubject()
    const answers = await together(CALLERS, (i) =>
      store.take(subject, i % 2 === 0 ? specs : specs.toReversed(), 1 + (i % 2)),
    )
    const granted = answers.reduce((sum, answer) => sum + answer.granted, 0)
    equal(granted === 8 || granted === 9, true, `${granted} of 9 were granted`)
    equal(
      (await store.peek(subject, specs, 1)).quotas.map(({ remaining }) => remaining),
      [9 - granted, 20 - granted, 15 - granted, 30 - granted],
    )
  }),

  storeCase('takes and refunds at once lose nothing', async (stage) => {
    const { store, someSubject, now, together, equal } = stage
    // A gcra that is told of refunds in another order may give back less.
    const windows = (['log', 'buckets', 'fixed'] as const).map((algorithm) => window(algorithm, 100))
    const specs = [...windows, calendar(100, await now())]
    const subject = someSubject()
    await together(40, async (i) => {
      const taken = await store.take(subject, specs, 2)
      if (i % 2 === 0) await store.refund(subject, specs, tokensOf(taken), 2)
    })
    equal(
      (await store.peek(subject, specs, 1)).quotas.map(({ remaining }) => remaining),
      [60, 60, 60, 60],
    )
  }),
]
