import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '../memory.ts'
import type { Fault } from './broken/fault.ts'
import { keepingFaults } from './broken/keeping-faults.ts'
import { nameFaults } from './broken/name-faults.ts'
import { pullFaults } from './broken/pull-faults.ts'
import { pushFaults } from './broken/push-faults.ts'
import { transactionFaults, type TransactionFault } from './broken/transaction-faults.ts'
import { withTransactions } from './broken/with-transactions.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** Stores with one fault each, for `scoreMutants`: the suite has to catch every one of them. */
export const brokenStores: Record<string, Subject<StoreUnderTest>> = Object.fromEntries([
  ...Object.entries({ ...pullFaults, ...pushFaults, ...keepingFaults, ...nameFaults }).map(([name, fault]) => [
    name,
    subject(fault),
  ]),
  ...Object.entries(transactionFaults).map(([name, fault]) => [name, transactionalSubject(fault)]),
])

function subject(fault: Fault): Subject<StoreUnderTest> {
  return {
    async make() {
      const clock = virtualClock({ now: Date.now() })
      const store = memoryStore({ clock })
      return { store: { ...store, ...fault(store, clock) }, elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  }
}

function transactionalSubject(fault: TransactionFault): Subject<StoreUnderTest> {
  return {
    has: ['transactions', 'prepared'],
    async make() {
      const clock = virtualClock({ now: Date.now() })
      const bare = memoryStore({ clock })
      const good = withTransactions(bare)
      return { ...good, ...fault(good, bare), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  }
}
