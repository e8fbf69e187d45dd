import type { QueryResult, Statement, Tx } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'
import { decideBegin } from '../decide-begin.ts'
import type { Fingerprint } from '../fingerprint.ts'
import type { RefDigest } from '../ref.ts'
import type { Held, Trace } from '../store.ts'
import { claimSql, readSql, takeOverSql } from './claim.sql.ts'
import { lockLimit } from './lock-timeout.ts'
import { readRecord, type OwnRecord } from './record.ts'

/** A claim as a row. */
export interface RowClaim {
  /** What the row is until it is settled. */
  readonly state: 'inflight' | 'unknown'
  readonly nonce: Uint8Array | undefined
  readonly operationId: string
  readonly fingerprint?: Fingerprint
  readonly leaseMs: number | undefined
  readonly retainMs: number
  readonly trace?: Trace
  readonly scope: string
  readonly op: string
  readonly subject?: Uint8Array
  readonly onLapsed: 'take' | 'report'
  /** How long another transaction may hold the row. */
  readonly lockMs: number
}

/** Claims rows, inside of a transaction that the caller ends. */
export interface RowClaiming {
  /** What leaves with BEGIN; `after` stands behind it. */
  opening(ref: RefDigest, claim: RowClaim, after?: readonly Statement[]): Statement[]
  /** Reads what `opening` was answered; a record that may be taken over is taken, as long as nobody else does. */
  read(
    tx: Tx,
    opened: readonly QueryResult[],
    ref: RefDigest,
    claim: RowClaim,
    after?: readonly Statement[],
  ): Promise<Held | { kind: 'yours'; record: OwnRecord; repeated: boolean }>
}

export function createRowClaiming(schema: string): RowClaiming {
  const sql = { claim: claimSql(schema), read: readSql(schema), takeOver: takeOverSql(schema) }

  function steps(ref: RefDigest, claim: RowClaim, attempt: number, after: readonly Statement[]): Statement[] {
    const row = rowOf(ref, claim)
    const take = attempt === 0 ? prepared(sql.claim, row) : prepared(sql.takeOver, [...row, attempt])
    // A savepoint comes last: the way back to it must not be one to the lock limit of the claim.
    return [take, prepared(sql.read, [ref]), ...after]
  }

  return {
    opening: (ref, claim, after = []) => steps(ref, claim, 0, after),

    async read(tx, opened, ref, claim, after = []) {
      let taken = opened[0]!.rows.length > 0
      for (let current = readRecord(opened[1]!); ;) {
        if (taken && current?.operationId === claim.operationId)
          return { kind: 'yours', record: current, repeated: false }
        const decided = decideBegin(current, claim)
        if (decided.kind === 'mine') return { kind: 'yours', record: current!, repeated: true }
        if (decided.kind !== 'take') return decided
        // Swept between claim and read: claim again.
        const again = steps(ref, claim, current === undefined ? 0 : decided.attempt, after)
        const answers: QueryResult[] = []
        for (const { text, values } of again) answers.push(await tx.query(text, values))
        taken = answers[0]!.rows.length > 0
        current = readRecord(answers[1]!)
      }
    },
  }
}

function rowOf(ref: RefDigest, claim: RowClaim): unknown[] {
  const { fingerprint, trace, subject } = claim
  const { alg = null, digest = null } = fingerprint ?? {}
  const traced = trace === undefined || Object.keys(trace).length === 0 ? null : JSON.stringify(trace)
  return [
    lockLimit(claim.lockMs),
    ref,
    claim.state,
    claim.nonce ?? null,
    alg,
    digest,
    claim.leaseMs ?? null,
    claim.retainMs,
    claim.operationId,
    traced,
    claim.scope,
    claim.op,
    subject ?? null,
  ]
}
