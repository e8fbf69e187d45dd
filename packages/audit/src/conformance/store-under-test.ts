import type { Database } from '@keelson/kernel'
import type { AuditStore } from '../store.ts'

/** A store that a suite may fill; it may be shared, for each case has a log of its own. */
export interface StoreUnderTest {
  readonly store: AuditStore
  /** The same store, as another process opens it; default: `store` itself. */
  readonly peer?: AuditStore
  /** Lets so many ms pass by the store's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
  /** Of a transactional store: the same database. */
  readonly db?: Database
}
