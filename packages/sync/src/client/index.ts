export { createSyncClient } from './create-sync-client.ts'
export { memoryStore } from './memory.ts'
export { nextStamp } from '../stamp.ts'
export { canonical } from '../canonical.ts'
export { SyncClientError, type SyncClientErrorCode } from './error.ts'
export type { ClientStore, StoreChange } from './store.ts'
export type {
  ClientCollection,
  ClientEvents,
  ClientStatus,
  Issue,
  Locks,
  OpRef,
  PendingEdits,
  SyncClient,
  SyncClientOptions,
} from './sync-client.ts'
export type { Round } from './rounds.ts'
