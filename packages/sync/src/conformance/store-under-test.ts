import type { Tx } from '@keelson/kernel'
import type { SyncStore } from '../store.ts'

/** A transaction of the database that the store is in. */
export interface OpenTransaction {
  readonly tx: Tx
  commit(): Promise<void>
  rollback(): Promise<void>
  /** Prepares it for two-phase commit; for subjects that have 'prepared'. */
  prepare?(): Promise<{ commit(): Promise<void>; rollback(): Promise<void> }>
}

/** A store that a suite may fill. It may be shared by cases that run one after the other: each has scopes of its own. */
export interface StoreUnderTest {
  readonly store: SyncStore
  /** The same store, as another process opens it; default: `store` itself. */
  readonly peer?: SyncStore
  /** Lets so many ms pass by the store's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
  /** For subjects that have 'transactions'. */
  begin?(): Promise<OpenTransaction>
}
