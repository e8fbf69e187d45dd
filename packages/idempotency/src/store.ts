import type { Statement, Tx } from '@keelson/kernel'
import type { Fingerprint } from './fingerprint.ts'
import type { RefDigest } from './ref.ts'

/*
 * Words. Claim: the right to run an operation, won once per ref. Record: what a store keeps of a ref. Tombstone: a
 * record whose answer was not kept; the operation never runs again. Retain: how long a record lives after completion.
 */

/** What a claim in a transaction brings along. */
export interface TransactionClaim {
  /** A UUID: how a caller whose COMMIT was not answered recognises its own record. */
  readonly operationId: string
  readonly fingerprint?: Fingerprint
  /** Kept for operators and traces. */
  readonly scope: string
  readonly op: string
  readonly trace?: { readonly correlationId?: string; readonly traceparent?: string }
  readonly subject?: Uint8Array
  readonly retainMs: number
  /** How long another transaction may hold the key before the answer is 'busy'. */
  readonly waitMs: number
  /** How long the store itself may take to connect and answer; `waitMs` comes on top. */
  readonly answerMs: number
  /** How long the work may stand still inside the transaction. */
  readonly stallMs: number
  /** Restarts after a serialization failure or a deadlock. */
  readonly retries: number
}

/** How a transaction ends. */
export type TransactionEnd<T> =
  | {
      /** `commit` keeps the business rows; `remember` rolls them back to where the work began. */
      readonly end: 'commit' | 'remember'
      /** The answer; undefined leaves a tombstone. */
      readonly bytes: Uint8Array | undefined
      /** The effects: committed in both cases. */
      readonly statements: readonly Statement[]
      readonly value: T
    }
  | { readonly end: 'rollback'; readonly value: T }

/** What a claim meets when it is not won. */
export type Held =
  | {
      readonly kind: 'done'
      readonly bytes: Uint8Array
      readonly operationId: string
      readonly attempt: number
      readonly traceparent?: string
    }
  | { readonly kind: 'tombstone'; readonly operationId: string; readonly attempt: number }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'busy'; readonly leaseLeftMs: number }

/** What `within` answers: the work ran, or somebody holds the ref. */
export type WithinResult<T> =
  | { readonly kind: 'ran'; readonly value: T; readonly stored: boolean; readonly attempt: number }
  | Held

/** A store that shares its database with the business rows. Each method is one atomic step, timed by the store's clock. */
export interface TransactionalStore {
  readonly transactional: true
  /**
   * Claims `ref`, runs `work` in the same transaction, and commits rows, statements and answer together, or nothing.
   * `work` is called again, on a new claim, after a restart or a COMMIT that turned out not to have happened.
   * Rejects with what `work` threw; STORE_UNAVAILABLE when nothing happened; COMMIT_UNKNOWN when that cannot be told.
   * 2 round trips beside the work's own statements; 1 for a record that is held.
   */
  within<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
  ): Promise<WithinResult<T>>
  /** Resolves when the store answers within `answerMs`. */
  health(o: { answerMs: number }): Promise<void>
}
