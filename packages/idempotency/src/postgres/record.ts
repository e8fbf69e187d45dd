import type { QueryResult } from '@keelson/kernel'
import type { StoredRecord } from '../decide-begin.ts'
import type { Fingerprint } from '../fingerprint.ts'
import type { Trace } from '../store.ts'

/** A row of readSql. */
interface Row {
  /** Null: there is no record. */
  state: StoredRecord['state'] | null
  fp_alg: Fingerprint['alg'] | null
  fp: Uint8Array | null
  operation_id: string
  fence: string
  attempt: number
  answer: Uint8Array | null
  checkpoint: Uint8Array | null
  /** JSON as text: what a driver makes of it is the application's to say. */
  trace: string | null
  expired: boolean
  lease_left_ms: number | null
}

/** A record with what only its owner may know. */
export interface OwnRecord extends StoredRecord {
  readonly fence: bigint
  readonly checkpoint?: Uint8Array
}

/** The record that readSql found. */
export function readRecord({ rows }: QueryResult): OwnRecord | undefined {
  const row = rows[0] as Row | undefined
  if (row === undefined || row.state === null) return undefined
  return {
    state: row.state,
    operationId: row.operation_id,
    fence: BigInt(row.fence),
    attempt: row.attempt,
    expired: row.expired,
    leaseLeftMs: row.lease_left_ms ?? 0,
    ...(row.fp_alg === null || row.fp === null ? {} : { fingerprint: { alg: row.fp_alg, digest: row.fp } }),
    ...(row.answer === null ? {} : { answer: row.answer }),
    ...(row.checkpoint === null ? {} : { checkpoint: row.checkpoint }),
    ...(row.trace === null ? {} : { trace: JSON.parse(row.trace) as Trace }),
  }
}
