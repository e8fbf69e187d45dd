import { differs, type Fingerprint } from './fingerprint.ts'
import type { Held } from './store.ts'

/** A record as a store holds it; every duration was measured by the store's clock. */
export interface StoredRecord {
  readonly state: 'inflight' | 'done' | 'tombstone' | 'unknown'
  readonly fingerprint?: Fingerprint
  readonly operationId: string
  readonly attempt: number
  readonly expired: boolean
  /** Of an operation in flight; 0 once its owner has lost it. */
  readonly leaseLeftMs: number
  readonly answer?: Uint8Array
  readonly traceparent?: string
}

/** What a claim gets: the record to replay or refuse by, or the right to take it as so many-th attempt. */
export type Begin = Held | { readonly kind: 'take'; readonly attempt: number }

/** What `begin` answers to a record. A wrong payload is refused in every state, so it comes first. */
export function decideBegin(record: StoredRecord, fingerprint: Fingerprint | undefined): Begin {
  if (record.expired) return { kind: 'take', attempt: 1 }
  if (differs(record.fingerprint, fingerprint)) return { kind: 'mismatch' }
  switch (record.state) {
    case 'done': {
      const { answer = new Uint8Array(0), operationId, attempt, traceparent } = record
      return {
        kind: 'done',
        bytes: answer,
        operationId,
        attempt,
        ...(traceparent === undefined ? {} : { traceparent }),
      }
    }
    case 'tombstone':
      return { kind: 'tombstone', operationId: record.operationId, attempt: record.attempt }
    case 'unknown':
      return { kind: 'unknown' }
    case 'inflight':
      if (record.leaseLeftMs > 0) return { kind: 'busy', leaseLeftMs: record.leaseLeftMs }
      return { kind: 'take', attempt: record.attempt + 1 } // the old owner is fenced off
  }
}
