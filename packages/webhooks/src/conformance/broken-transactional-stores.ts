import type { Subject } from '@keelson/kernel/conformance'
import type { TransactionalStoreUnderTest } from './store-under-test.ts'

type Store = TransactionalStoreUnderTest['store']

/** One fault each; the name says what is wrong. */
const faults: Record<string, (store: Store) => Partial<Store>> = {
  'publishes outside of the transaction': (store) => ({ publish: (events) => store.publish(events) }),
  'its statements do nothing': () => ({ publishStatements: () => [] }),
  'its statements are run when they are made': (store) => ({
    publishStatements(events) {
      store.publish(events).catch(() => {})
      return []
    },
  }),
  'only the first event has a statement': (store) => ({
    publishStatements: (events) => store.publishStatements(events.slice(0, 1)),
  }),
  'its statements are in any order': (store) => ({
    publishStatements: (events) => store.publishStatements(events.toReversed()),
  }),
  'a transaction has ids of its own': (store) => ({
    publish: async (events, tx) =>
      tx === undefined ? store.publish(events) : (await store.publish(events, tx)).map(() => 'fresh'),
  }),
  'conflicts are not counted': (store) => ({ inspect: async () => ({ ...(await store.inspect()), conflicts: 0 }) }),
  'duplicates are counted as conflicts': (store) => ({
    publishStatements: (events) =>
      store.publishStatements(events.flatMap((event) => [event, { ...event, digest: 'f'.repeat(64) }])),
  }),
  'a conflict gets another id': (store) => ({
    publishStatements: (events) => store.publishStatements(events.map((event) => ({ ...event, id: `${event.id}.tx` }))),
  }),
  'what commits late is skipped': (store) => {
    let newest = ''
    return {
      async takeUnrouted(limit, leaseMs) {
        const taken = (await store.takeUnrouted(limit, leaseMs)).filter(({ event }) => event.id >= newest)
        newest = taken.at(-1)?.event.id ?? newest
        return taken
      },
    }
  },
}

/**
 * Transactional stores that are broken on purpose, each in one way, for `scoreMutants`: faults laid over a good store,
 * since they need its database.
 */
export function brokenTransactionalStores(
  good: Subject<TransactionalStoreUnderTest>,
): Record<string, Subject<TransactionalStoreUnderTest>> {
  return Object.fromEntries(
    Object.entries(faults).map(([name, fault]) => [
      name,
      {
        ...good,
        async make() {
          const made = await good.make()
          return { ...made, store: { ...made.store, ...fault(made.store) } }
        },
      },
    ]),
  )
}
