import type { Suite } from '@keelson/kernel/conformance'
import { abilityCases } from './store/abilities.ts'
import { beginCases } from './store/begin.ts'
import { bytesCases } from './store/bytes.ts'
import { modelCases } from './store/model.ts'
import { operatorCases } from './store/operator.ts'
import { fenceCases, ownershipCases } from './store/ownership.ts'
import { raceCases } from './store/races.ts'
import { settleCases, touchCases } from './store/settle.ts'
import { subjectCases } from './store/subjects.ts'
import { timeCases } from './store/time.ts'
import { waitCases } from './store/wait.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/**
 * All that an {@link IdempotencyStore} promises. What a subject `has`: 'wait', 'sweep', 'counts', 'stuck', 'warnings', 'ofSubject' for each
 * of these methods that its store has; 'close' when `make` opens a store of its own for each case, so that a case may
 * close it. Subjects may share a store, but not with anybody else. On a real clock a run takes some seconds.
 */
export const idempotencyStoreSuite: Suite<StoreUnderTest> = {
  name: 'idempotency store',
  of: 'store',
  cases: [
    ...abilityCases,
    ...beginCases,
    ...ownershipCases,
    ...fenceCases,
    ...settleCases,
    ...touchCases,
    ...timeCases,
    ...bytesCases,
    ...raceCases,
    ...operatorCases,
    ...subjectCases,
    ...waitCases,
    ...modelCases,
  ],
}
