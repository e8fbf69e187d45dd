import type { Suite } from '@keelson/kernel/conformance'
import { entryCases } from './store/entries.ts'
import { lockCases } from './store/locks.ts'
import { memberCases } from './store/members.ts'
import { modelCases } from './store/model.ts'
import { raceCases } from './store/races.ts'
import { lossCases, ruleCases } from './store/rule.ts'
import { purgeCases, staleCases } from './store/stale.ts'
import type { CacheStoreUnderTest } from './store-under-test.ts'

/**
 * All that a {@link CacheStore} promises. What a subject `has`: 'bodies' when it stores bytes, 'values' when it keeps
 * values of this process as they are; 'members' when its tiers have `join` and are 'leased'; 'wakes' when members are told
 * of fills; 'keeps' when what is invalid stays until it is purged; 'lose', 'cut' and 'jump' for what the subject can do
 * to its server. Each case has a cache of its own, so subjects may share a store. On a real clock a run takes a minute
 * at most.
 */
export const cacheStoreSuite: Suite<CacheStoreUnderTest> = {
  name: 'cache store',
  of: 'store',
  cases: [
    ...ruleCases,
    ...lossCases,
    ...lockCases,
    ...staleCases,
    ...entryCases,
    ...purgeCases,
    ...memberCases,
    ...raceCases,
    ...modelCases,
  ],
}
