import type { Suite } from '@keelson/kernel/conformance'
import { backCases } from './store/back.ts'
import { countCases } from './store/counts.ts'
import { raceCases } from './store/races.ts'
import { timeCases } from './store/time.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/**
 * All that a {@link LimiterStore} promises. What a subject `has`: 'sweep' for that method; 'elapse' when the subject
 * has `elapse`, which then lets exactly so much time pass. Subjects may share a store. On a real clock a run takes some
 * seconds.
 */
export const limiterStoreSuite: Suite<StoreUnderTest> = {
  name: 'limiter store',
  of: 'store',
  cases: [...countCases, ...backCases, ...raceCases, ...timeCases],
}
