import type { VirtualClock } from '@keelson/kernel/testing'
import type { SyncStore } from '../../store.ts'

/** Which methods of a good store are other ones. */
export type Fault = (store: SyncStore, clock: VirtualClock) => Partial<SyncStore>
