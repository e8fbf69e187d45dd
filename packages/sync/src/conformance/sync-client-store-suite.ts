import type { Suite } from '@keelson/kernel/conformance'
import { chanceCases } from './client-store/chance.ts'
import { lifetimeCases } from './client-store/lifetime.ts'
import { manyCases } from './client-store/many.ts'
import { tabCases } from './client-store/tabs.ts'
import { updateCases } from './client-store/update.ts'
import { valueCases } from './client-store/values.ts'
import type { ClientStoreUnderTest } from './client-store-under-test.ts'

/**
 * All that a {@link ClientStore} promises. What a subject `has`: 'kept' where another one finds what was written, 'tabs'
 * where several have the same place open, 'crash' where the place can be cut off.
 */
export const syncClientStoreSuite: Suite<ClientStoreUnderTest> = {
  name: 'sync client store',
  of: 'open',
  cases: [...valueCases, ...updateCases, ...lifetimeCases, ...tabCases, ...chanceCases, ...manyCases],
}
