import type { Subject, Suite } from '../../src/conformance/index.ts'

/** A port as small as can be. */
export interface Counter {
  next(): number
  reset?(): void
}

/** What it promises. */
export const counterSuite: Suite<Counter> = {
  name: 'counter',
  of: 'next',
  cases: [
    { name: 'counts from 1', run: async (counter, { equal }) => equal([counter.next(), counter.next()], [1, 2]) },
    {
      name: 'starts again after a reset',
      needs: ['reset'],
      async run(counter, { equal }) {
        counter.next()
        counter.reset!()
        equal(counter.next(), 1)
      },
    },
    {
      name: 'gives each of many callers another number',
      async run(counter, { equal, together, random, ok }) {
        const numbers = await together(5, async () => counter.next())
        equal(new Set(numbers).size, 5)
        ok(random() < 1)
      },
    },
  ],
}

/** Counts; `step` by which, and whether it can be reset. */
export function counter(step = 1, o: { has?: string[]; disposed?: () => void } = {}): Subject<Counter> {
  return {
    ...(o.has === undefined ? {} : { has: o.has }),
    async make() {
      let count = 0
      return {
        next: () => (count += step),
        reset: () => (count = 0),
        dispose: async () => o.disposed?.(),
      }
    },
  }
}
