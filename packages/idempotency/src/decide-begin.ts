import { differs, isSkipped, type Fingerprint } from './fingerprint.ts'
import type { Held, RecordView, Trace } from './store.ts'

/** A record as a store holds it; every duration was measured by the store's clock. */
export interface StoredRecord {
  readonly state: RecordView['state']
  readonly fingerprint?: Fingerprint
  readonly operationId: string
  readonly attempt: number
  readonly expired: boolean
  /** Of an operation in flight; 0 once its owner has lost it. */
  readonly leaseLeftMs: number
  readonly answer?: Uint8Array
  readonly trace?: Trace
}

/** What of a claim the decision needs. */
export interface Claimant {
  readonly fingerprint?: Fingerprint
  /** Set where a claim can be repeated. */
  readonly operationId?: string
  readonly onLapsed: 'take' | 'report'
}

/**
 * What a claim gets: the record to replay or refuse by, its own claim again, or the right to take the ref as so
 * many-th attempt.
 */
export type Decision = Held | { readonly kind: 'mine' } | { readonly kind: 'take'; readonly attempt: number }

/** What `begin` answers to a record. A wrong payload is refused in every state, so it comes first. */
export function decideBegin(record: StoredRecord | undefined, claimant: Claimant): Decision {
  if (record === undefined || record.expired) return { kind: 'take', attempt: 1 }
  if (differs(record.fingerprint, claimant.fingerprint)) return { kind: 'mismatch' }
  const skipped = isSkipped(record.fingerprint, claimant.fingerprint) ? { fingerprintSkipped: true as const } : {}
  switch (record.state) {
    case 'done': {
      const { answer = new Uint8Array(0), operationId, attempt, trace } = record
      return {
        kind: 'done',
        bytes: answer,
        operationId,
        attempt,
        ...(trace === undefined ? {} : { trace }),
        ...skipped,
      }
    }
    case 'tombstone':
      return { kind: 'tombstone', operationId: record.operationId, attempt: record.attempt, ...skipped }
    case 'unknown':
      return { kind: 'unknown', ...skipped }
    case 'inflight':
      if (record.operationId === claimant.operationId) return { kind: 'mine' }
      if (record.leaseLeftMs > 0) return { kind: 'busy', leaseLeftMs: record.leaseLeftMs, ...skipped }
      if (claimant.onLapsed === 'report') return { kind: 'lapsed', attempt: record.attempt, ...skipped }
      return { kind: 'take', attempt: record.attempt + 1 } // the old owner is fenced off
  }
}
