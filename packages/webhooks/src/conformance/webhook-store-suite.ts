import type { Suite } from '@keelson/kernel/conformance'
import { claimCases } from './store/claim.ts'
import { deliveryCases } from './store/deliveries.ts'
import { dueCases } from './store/due.ts'
import { endpointCases } from './store/endpoints.ts'
import { eventCases } from './store/events.ts'
import { healthCases } from './store/health.ts'
import { keepingCases } from './store/keeping.ts'
import { modelCases } from './store/model.ts'
import { nameCases } from './store/names.ts'
import { publishCases } from './store/publish.ts'
import { reapCases } from './store/reap.ts'
import { routeCases } from './store/route.ts'
import { settleCases } from './store/settle.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/**
 * All that a {@link WebhookStore} promises. What a subject `has`: 'elapse' when its `elapse` lets exactly so much time
 * pass. The store is to be empty for each case. On a real clock a run takes some seconds.
 */
export const webhookStoreSuite: Suite<StoreUnderTest> = {
  name: 'webhook store',
  of: 'store',
  cases: [
    ...publishCases,
    ...routeCases,
    ...claimCases,
    ...settleCases,
    ...healthCases,
    ...reapCases,
    ...dueCases,
    ...endpointCases,
    ...eventCases,
    ...deliveryCases,
    ...keepingCases,
    ...nameCases,
    ...modelCases,
  ],
}
