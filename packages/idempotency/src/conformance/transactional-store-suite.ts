import type { Suite } from '@keelson/kernel/conformance'
import type { TransactionalStoreUnderTest } from './store-under-test.ts'
import { settleEffectCases } from './transactional/settle-effects.ts'
import { withinCases } from './transactional/within.ts'

/**
 * All that a {@link TransactionalStore} promises beyond {@link idempotencyStoreSuite}, which it passes too. What a
 * subject `has`: 'parallel' when its database runs transactions side by side; an embedded one with a single connection
 * does not. Each case creates a table and drops it.
 */
export const transactionalStoreSuite: Suite<TransactionalStoreUnderTest> = {
  name: 'transactional store',
  of: 'store',
  cases: [...withinCases, ...settleEffectCases],
}
