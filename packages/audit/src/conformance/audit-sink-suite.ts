import type { Suite } from '@keelson/kernel/conformance'
import { answerCases } from './sink/answers.ts'
import { itemCases } from './sink/items.ts'
import { lifetimeCases } from './sink/lifetime.ts'
import { sentCases } from './sink/sent.ts'
import { shippedCases } from './sink/shipped.ts'
import type { SinkUnderTest } from './sink-under-test.ts'

/**
 * All that a {@link Sink} promises, by itself and behind the shipper of `createAudit`. What a subject `has`:
 *
 * - 'options': it takes those of every sink of this package.
 * - 'network': its receiver can be out of reach; a file cannot.
 * - 'status': a request has one status as in HTTP. 'body': a 2xx counts only with the right JSON.
 * - 'items': the answer has a status for each entry. 'names': it names an entry that is at fault. 'counts': it says how many are.
 * - 'once': what is sent again is there once.
 * - 'setup': something is prepared before the first batch.
 * - 'state': what it keeps with the cursor makes it exact, also when its process was killed.
 * - 'settles': nothing is acknowledged; entries count when the connection has lasted.
 */
export const auditSinkSuite: Suite<SinkUnderTest> = {
  name: 'audit sink',
  of: 'sink',
  cases: [...sentCases, ...answerCases, ...itemCases, ...shippedCases, ...lifetimeCases],
}
