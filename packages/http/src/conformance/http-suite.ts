import type { Suite } from '@keelson/kernel/conformance'
import { auditedCases } from './cases/audited.ts'
import { cachedCases } from './cases/cached.ts'
import { contextCases } from './cases/context.ts'
import { earlyCases } from './cases/early.ts'
import { exchangeCases } from './cases/exchange.ts'
import { idCases } from './cases/ids.ts'
import { invalidatesCases } from './cases/invalidates.ts'
import { keyCases } from './cases/keys.ts'
import { leavingCases } from './cases/leaving.ts'
import { limitCases } from './cases/limits.ts'
import { mountCases } from './cases/mount.ts'
import { observedCases } from './cases/observed.ts'
import { orderCases } from './cases/order.ts'
import { problemCases } from './cases/problems.ts'
import { receivedCases } from './cases/received.ts'
import { shutdownCases } from './cases/shutdown.ts'
import { signedCases } from './cases/signed.ts'
import { syncCases } from './cases/sync.ts'
import { transactionCases } from './cases/transactions.ts'
import { zooCases } from './cases/zoo.ts'
import type { HttpSubject } from './http-subject.ts'

/**
 * All that an adapter promises, over real sockets. What a subject `has`: 'database' for transactional routes, when it
 * gives one; 'shutdown', when what `start` answers can `drain`. A run takes some seconds.
 */
export const httpSuite: Suite<HttpSubject> = {
  name: 'http adapter',
  of: 'start',
  cases: [
    ...exchangeCases,
    ...problemCases,
    ...idCases,
    ...orderCases,
    ...earlyCases,
    ...observedCases,
    ...limitCases,
    ...keyCases,
    ...zooCases,
    ...leavingCases,
    ...cachedCases,
    ...invalidatesCases,
    ...transactionCases,
    ...auditedCases,
    ...signedCases,
    ...receivedCases,
    ...mountCases,
    ...syncCases,
    ...shutdownCases,
    ...contextCases,
  ],
}
