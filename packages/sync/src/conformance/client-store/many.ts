import type { Case } from '@keelson/kernel/conformance'
import { onPlace } from '../client-stage.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

/** What takes long; so behind all others. */
export const manyCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace(
    'a hundred thousand keys are loaded',
    async ({ open, load, write, equal, ok }) => {
      const store = await open()
      for (let from = 0; from < 100_000; from += 1_000) {
        const changes = Array.from({ length: 1_000 }, (_, i) => [`op/${from + i}`, { n: from + i }] as const)
        await write(store, ...changes)
      }
      await store.close()
      const { found } = await load()
      equal(found.length, 100_000)
      ok(
        found.every(([key, value]) => key === `op/${(value as { n: number }).n}`),
        'a value is at the key of another',
      )
      equal(new Set(found.map(([key]) => key)).size, 100_000)
    },
    'kept',
  ),
]
