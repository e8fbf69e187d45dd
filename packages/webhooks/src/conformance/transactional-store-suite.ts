import type { Suite } from '@keelson/kernel/conformance'
import type { TransactionalStoreUnderTest } from './store-under-test.ts'
import { withinCases } from './transactional/within.ts'

/**
 * What a {@link WebhookStore} with `transactional: true` promises beside the other suite. What a subject `has`:
 * 'parallel' when a transaction may be open while the store works.
 */
export const transactionalStoreSuite: Suite<TransactionalStoreUnderTest> = {
  name: 'transactional webhook store',
  of: 'store',
  cases: withinCases,
}
