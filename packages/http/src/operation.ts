import type { Tx } from '@keelson/kernel'

/** What a transactional handler may know of its operation. */
export interface Operation {
  /** A UUID, the same for every restart of this request's transaction. */
  readonly operationId: string
  /** Known under an idempotency key, and wherever http has a scope for the request. */
  readonly scope?: string
  /** Method and concrete path, or the rule's `operation`. */
  readonly op: string
  /** Aborts when the transaction has ended. */
  readonly signal: AbortSignal
}

/** A transactional handler. It runs again after a serialization failure or a deadlock. */
export type Work = (tx: Tx, op: Operation) => unknown
