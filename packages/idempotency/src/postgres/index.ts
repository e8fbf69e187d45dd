import { checkOptions, isKeelsonError, opt, type QueryResult, type Statement, type Tx } from '@keelson/kernel'
import { checkSchema, database, unit, type DatabaseLike, type Migration, type UnitEnd } from '@keelson/kernel/postgres'
import { decideBegin, type StoredRecord } from '../decide-begin.ts'
import type { RefDigest } from '../ref.ts'
import type { Held, TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from '../store.ts'
import { claimSql, readSql, takeOverSql } from './claim.sql.ts'
import { migrations } from './migrations.ts'
import { settleSql } from './settle.sql.ts'

/** Where a 4xx takes the business rows back to. */
const SAVEPOINT = 'keelson_work'
/** The claim's own limit, and back to what the session had: a pool may set one for its statements. */
const TAKE_LOCK_TIMEOUT =
  "select set_config('keelson.lock_timeout', current_setting('lock_timeout'), true), set_config('lock_timeout', $1, true)"
const GIVE_LOCK_TIMEOUT_BACK = "select set_config('lock_timeout', current_setting('keelson.lock_timeout'), true)"
/** A row lock has no lease to read: what a busy caller is told. */
const BUSY_MS = 1_000
/** The least time in which a caller whose COMMIT was not answered waits for that transaction's end. */
const SECOND_LOOK_MS = 2_000

/**
 * Idempotency records in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that
 * the business rows live in. Apply its `migrations` with `migrate(db, [store])`.
 * @throws KernelError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string } = {},
): TransactionalStore & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const schema = checkSchema(checkOptions('postgresStore', options, { schema: opt.string('keelson') }).schema)
  const target = database(db)
  const sql = {
    claim: claimSql(schema),
    read: readSql(schema),
    takeOver: takeOverSql(schema),
    settle: settleSql(schema),
  }

  /** One transaction: claim, work, answer. */
  async function attempt<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
  ): Promise<WithinResult<T>> {
    const row = claimRow(ref, claim)
    let claiming = true
    try {
      return await unit<WithinResult<T>>(target, {
        open: [
          ...lockTimeout(claim.waitMs),
          { text: sql.claim, values: row },
          ...lockTimeout(undefined),
          { text: `savepoint ${SAVEPOINT}` },
          { text: sql.read, values: [ref] },
        ],
        retries: claim.retries,
        stall: claim.stallMs,
        openTimeout: claim.answerMs + claim.waitMs,
        async work(tx, opened) {
          claiming = true
          const begun = await begin(tx, readRecord(opened.at(-1)!), ref, row, claim)
          if (begun.kind !== 'yours') return { end: 'rollback', value: begun }
          claiming = false
          return endOfUnit(ref, claim, begun.attempt, await work(tx))
        },
      })
    } catch (error) {
      // The lock was not had in time, so the key is held. Later it would be the work's own matter.
      if (claiming && isLockTimeout(error)) return { kind: 'busy', leaseLeftMs: BUSY_MS }
      throw error
    }
  }

  /** Reads the claim's answer; a record that may be taken over is taken, as long as nobody else does. */
  async function begin(
    tx: Tx,
    record: StoredRecord | undefined,
    ref: RefDigest,
    row: readonly unknown[],
    claim: TransactionClaim,
  ): Promise<Held | { kind: 'yours'; attempt: number }> {
    for (let current = record; ;) {
      if (current?.operationId === claim.operationId && current.state === 'unknown') {
        return { kind: 'yours', attempt: current.attempt }
      }
      const decided = current === undefined ? undefined : decideBegin(current, claim.fingerprint)
      if (decided !== undefined && decided.kind !== 'take') return decided
      // Swept between claim and read: claim again.
      const again = decided === undefined ? { text: sql.claim, values: row } : takeOver(row, decided.attempt)
      // The savepoint comes after the claim, which must survive a rollback of the business rows.
      const steps = [...lockTimeout(claim.waitMs), again, ...lockTimeout(undefined), { text: `savepoint ${SAVEPOINT}` }]
      for (const { text, values } of steps) await tx.query(text, values)
      current = readRecord(await tx.query(sql.read, [ref]))
    }
  }

  function takeOver(row: readonly unknown[], attempts: number): Statement {
    return { text: sql.takeOver, values: [...row, attempts] }
  }

  function endOfUnit<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    attempts: number,
    end: TransactionEnd<T>,
  ): UnitEnd<WithinResult<T>> {
    if (end.end === 'rollback') {
      return { end: 'rollback', value: { kind: 'ran', value: end.value, stored: false, attempt: attempts } }
    }
    const stored = end.bytes !== undefined
    const settle = [ref, claim.operationId, stored ? 'done' : 'tombstone', end.bytes ?? null, claim.retainMs]
    return {
      end: 'commit',
      statements: [
        ...(end.end === 'remember' ? [{ text: `rollback to savepoint ${SAVEPOINT}` }] : []),
        ...end.statements,
        { text: sql.settle, values: settle },
      ],
      value: { kind: 'ran', value: end.value, stored, attempt: attempts },
    }
  }

  /** PGlite has one connection: nobody else can hold a lock. */
  function lockTimeout(limitMs: number | undefined): Statement[] {
    if (target.kind === 'pglite') return []
    if (limitMs === undefined) return [{ text: GIVE_LOCK_TIMEOUT_BACK }]
    // 0 would wait for ever.
    const values = [String(Math.max(1, Math.round(limitMs)))]
    return [{ text: TAKE_LOCK_TIMEOUT, values }]
  }

  return {
    transactional: true,
    migrations,
    schema,
    async within(ref, claim, work) {
      let thrown: { error: unknown } | undefined
      let finished: Extract<Awaited<ReturnType<typeof work>>, { end: 'commit' | 'remember' }> | undefined
      const noted: typeof work = async (tx) => {
        thrown = undefined
        finished = undefined
        try {
          const end = await work(tx)
          finished = end.end === 'rollback' ? undefined : end
          return end
        } catch (error) {
          thrown = { error }
          throw error
        }
      }
      try {
        return await attempt(ref, claim, noted)
      } catch (unknown) {
        // The work's own error is its caller's, even when it looks like ours.
        if (thrown?.error === unknown || !isKeelsonError(unknown, 'COMMIT_UNKNOWN')) throw unknown
        // Claiming again blocks until the old transaction has ended, so what is found is final.
        const ours = finished
        const look = { ...claim, waitMs: Math.max(claim.waitMs, SECOND_LOOK_MS) }
        const found = await attempt(ref, look, noted).catch((error: unknown) => {
          throw isKeelsonError(error, 'STORE_UNAVAILABLE') ? unknown : error
        })
        if (found.kind === 'busy') throw unknown
        const isOurs = 'operationId' in found && found.operationId === claim.operationId
        if (!isOurs || ours === undefined) return found
        return { kind: 'ran', value: ours.value, stored: found.kind === 'done', attempt: found.attempt }
      }
    },
    async health({ answerMs }) {
      await unit(target, { open: [], openTimeout: answerMs, work: async () => ({ end: 'rollback', value: undefined }) })
    },
  }
}

function claimRow(ref: RefDigest, claim: TransactionClaim): unknown[] {
  const { fingerprint, trace, subject } = claim
  const { alg = null, digest = null } = fingerprint ?? {}
  const traced = trace === undefined || Object.keys(trace).length === 0 ? null : JSON.stringify(trace)
  return [ref, alg, digest, claim.retainMs, claim.operationId, traced, claim.scope, claim.op, subject ?? null]
}

/** 55P03 lock_not_available; 57014 query_canceled, where the session's statement_timeout is shorter. */
function isLockTimeout(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return code === '55P03' || code === '57014'
}

interface Row {
  state: StoredRecord['state']
  fp_alg: 'raw' | 'json' | 'multipart' | 'custom' | null
  fp: Uint8Array | null
  operation_id: string
  attempt: number
  answer: Uint8Array | null
  traceparent: string | null
  expired: boolean
  lease_left_ms: number | null
}

function readRecord({ rows }: QueryResult): StoredRecord | undefined {
  const row = rows[0] as Row | undefined
  if (row === undefined) return undefined
  return {
    state: row.state,
    operationId: row.operation_id,
    attempt: row.attempt,
    expired: row.expired,
    leaseLeftMs: row.lease_left_ms ?? 0,
    ...(row.fp_alg === null || row.fp === null ? {} : { fingerprint: { alg: row.fp_alg, digest: row.fp } }),
    ...(row.answer === null ? {} : { answer: row.answer }),
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
  }
}
