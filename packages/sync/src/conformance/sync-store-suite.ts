import type { Suite } from '@keelson/kernel/conformance'
import { changeCases } from './store/change.ts'
import { conflictCases } from './store/conflicts.ts'
import { eraCases } from './store/eras.ts'
import { forgetCases } from './store/forget.ts'
import { gcCases } from './store/gc.ts'
import { nameCases } from './store/names.ts'
import { pullCases } from './store/pull.ts'
import { pushCases } from './store/push.ts'
import { replicaCases } from './store/replicas.ts'
import { transactionCases } from './store/transactions.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/**
 * All that a {@link SyncStore} promises. What a subject `has`: 'transactions' (with `begin`) and, of those, 'prepared'
 * for two-phase commit. Each case has scopes and devices of its own, so a store may be shared; cases run one after the
 * other, for what is old or of another era is so for all.
 */
export const syncStoreSuite: Suite<StoreUnderTest> = {
  name: 'sync store',
  of: 'store',
  cases: [
    ...pullCases,
    ...pushCases,
    ...changeCases,
    ...conflictCases,
    ...forgetCases,
    ...gcCases,
    ...eraCases,
    ...nameCases,
    ...replicaCases,
    ...transactionCases,
  ],
}
