import type { Database } from '@keelson/kernel'
import type { WebhookStore } from '../store.ts'

/** A store that a suite may fill: it is empty when `make` answers it, for a claim takes whatever is due in it. */
export interface StoreUnderTest {
  readonly store: WebhookStore
  /** The same store, as another process opens it; default: `store` itself. */
  readonly peer?: WebhookStore
  /** Lets so many ms pass by the store's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
}

/** A store whose events commit with business rows. */
export interface TransactionalStoreUnderTest extends StoreUnderTest {
  readonly store: WebhookStore & Required<Pick<WebhookStore, 'publishStatements'>>
  /** The same database: the suite creates tables of its own in it, and drops them. */
  readonly db: Database
}
