import type { Database } from '@keelson/kernel'
import type { IdempotencyStore, TransactionalStore } from '../store.ts'

/** A store that a suite may fill with records of its own. */
export interface StoreUnderTest {
  readonly store: IdempotencyStore
  /** Lets so many ms pass by the store's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
}

/** A store whose records share a database with business rows. */
export interface TransactionalStoreUnderTest extends StoreUnderTest {
  readonly store: TransactionalStore
  /** The same database: the suite creates tables of its own in it, and drops them. */
  readonly db: Database
}
