import type { Subject } from '@keelson/kernel/conformance'
import type { PlaceFault } from './broken-client/fault.ts'
import { lifetimeFaults } from './broken-client/lifetime-faults.ts'
import { soundPlace } from './broken-client/sound-place.ts'
import { tabFaults } from './broken-client/tab-faults.ts'
import { updateFaults } from './broken-client/update-faults.ts'
import { valueFaults } from './broken-client/value-faults.ts'
import type { ClientStoreUnderTest } from './client-store-under-test.ts'

const noFault: PlaceFault = () => ({})

/** Clients' stores with one fault each, for `scoreMutants`: the suite has to catch every one of them. */
export const brokenClientStores: Record<string, Subject<ClientStoreUnderTest>> = Object.fromEntries(
  Object.entries({ ...valueFaults, ...updateFaults, ...lifetimeFaults, ...tabFaults }).map(([name, fault]) => [
    name,
    subject(fault),
  ]),
)

/** The store that the faults are laid over, without any. */
export const soundClientStore: Subject<ClientStoreUnderTest> = subject(noFault)

function subject(fault: PlaceFault): Subject<ClientStoreUnderTest> {
  return {
    has: ['kept', 'tabs', 'crash'],
    async make() {
      const place = soundPlace()
      return { ...place, ...fault(place), async dispose() {} }
    },
  }
}
