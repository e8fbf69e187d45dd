import { KernelError, type QueryResult, type Statement } from '@keelson/kernel'
import { prepared, unit, type KnownDatabase } from '@keelson/kernel/postgres'
import { operationIdOf } from '../nonce.ts'
import type { Begin, Limit, RecordView, SubjectRecord, TransactionalStore } from '../store.ts'
import type { RowClaim, RowClaiming } from './claiming.ts'
import { isLockTimeout, underLockTimeout } from './lock-timeout.ts'
import { answerSql, countsSql, forgetSql, peekSql, retrySql, stuckSql, sweepSql, traceSql } from './operator.sql.ts'
import { eraseSql, heldSql } from './subject.sql.ts'
import { endSql, lapseSql, ownEndSql, releaseSql, touchSql } from './own.sql.ts'

/** Without a caller's limit. */
const ANSWER_MS = 5_000
/** An open transaction holds the row: what a caller of `begin` is told. */
const BUSY_MS = 1_000
/** Records of a person in one statement. */
const SUBJECT_PAGE = 100

/** Claims that are committed before their work runs. */
export function createRecords(
  target: KnownDatabase,
  schema: string,
  claiming: RowClaiming,
): Omit<TransactionalStore, 'transactional' | 'within' | 'health'> {
  const sql = {
    end: endSql(schema),
    release: releaseSql(schema),
    lapse: lapseSql(schema),
    ownEnd: ownEndSql(schema),
    touch: touchSql(schema),
    peek: peekSql(schema),
    forget: forgetSql(schema),
    retry: retrySql(schema),
    answer: answerSql(schema),
    sweep: sweepSql(schema),
    counts: countsSql(schema),
    export: heldSql(schema),
    erase: eraseSql(schema),
    stuck: stuckSql(schema),
    trace: traceSql(schema),
  }

  /** What bounds a transaction of ours: it never waits for anybody's work. */
  function limits({ answerMs }: Limit = { answerMs: ANSWER_MS }) {
    return { openTimeout: answerMs, stall: answerMs, lockMs: answerMs / 2, isolation: 'read committed' as const }
  }

  /** Statements in one transaction of two flights; the answer of the last one that changes or reads. */
  async function ask(statement: Statement, limit: Limit | undefined): Promise<QueryResult> {
    const { lockMs, ...o } = limits(limit)
    const open = underLockTimeout(target.kind, lockMs, [statement])
    try {
      return await unit<QueryResult>(target, {
        ...o,
        open,
        work: async (_, opened) => ({ end: 'commit', statements: [], value: opened[open.indexOf(statement)]! }),
      })
    } catch (error) {
      throw lockedAsUnavailable(error)
    }
  }

  return {
    async begin(ref, claim, limit) {
      const { lockMs, ...o } = limits(limit)
      const row: RowClaim = {
        ...claim,
        state: 'inflight',
        operationId: operationIdOf(claim.nonce),
        scope: claim.scope ?? '',
        op: claim.op ?? '',
        retainMs: Math.max(claim.retainMs, claim.leaseMs),
        lockMs,
      }
      try {
        return await unit<Begin>(target, {
          ...o,
          open: claiming.opening(ref, row),
          async work(tx, opened) {
            const found = await claiming.read(tx, opened, ref, row)
            if (found.kind !== 'yours') return { end: 'rollback', value: found }
            const { fence, attempt, checkpoint } = found.record
            const renewal = prepared(sql.touch, [ref, claim.nonce, String(fence), claim.leaseMs, null])
            return {
              end: 'commit',
              statements: found.repeated ? [renewal] : [],
              value: { kind: 'yours', fence, attempt, ...(checkpoint === undefined ? {} : { checkpoint }) },
            }
          },
        })
      } catch (error) {
        if (isLockTimeout(error)) return { kind: 'busy', leaseLeftMs: BUSY_MS }
        throw error
      }
    },

    async settle(ref, own, as, retainMs, statements = [], limit) {
      const { lockMs, ...o } = limits(limit)
      const owner = [ref, own.nonce, String(own.fence)]
      const end: Statement =
        as.kind === 'release' || as.kind === 'lapse'
          ? prepared(sql[as.kind], owner)
          : prepared(sql.end, [...owner, as.kind, as.kind === 'done' ? as.bytes : null, retainMs])
      const open = [...underLockTimeout(target.kind, lockMs, [end]), prepared(sql.ownEnd, owner)]
      try {
        return await unit<'ok' | 'lost'>(target, {
          ...o,
          open,
          async work(_, opened) {
            if (opened[open.indexOf(end)]!.rows.length > 0) return { end: 'commit', statements, value: 'ok' }
            const { state } = (opened.at(-1)!.rows[0] ?? {}) as { state?: RecordView['state'] }
            return { end: 'rollback', value: state === as.kind ? 'ok' : 'lost' }
          },
        })
      } catch (error) {
        throw lockedAsUnavailable(error)
      }
    },

    async touch(ref, own, leaseMs, checkpoint, limit) {
      const values = [ref, own.nonce, String(own.fence), leaseMs, checkpoint ?? null]
      const { rows } = await ask(prepared(sql.touch, values), limit)
      return rows.length > 0 ? 'ok' : 'lost'
    },

    async peek(ref, limit) {
      const { rows } = await ask(prepared(sql.peek, [ref]), limit)
      const row = rows[0] as PeekRow | undefined
      return row === undefined ? null : viewOf(row)
    },

    async clear(ref, how, limit) {
      const statement =
        how === 'forget'
          ? { text: sql.forget, values: [ref] }
          : how === 'retry'
            ? { text: sql.retry, values: [ref] }
            : { text: sql.answer, values: [ref, how.bytes] }
      const { rows } = await ask(statement, limit)
      return rows.length > 0
    },

    async *ofSubject(subject, how): AsyncIterable<SubjectRecord> {
      for (let after: Uint8Array | null = null; ;) {
        const { rows } = await ask({ text: sql[how], values: [subject, after, SUBJECT_PAGE] }, undefined)
        const page = (rows as SubjectRow[]).toSorted((a, b) => Buffer.compare(a.ref, b.ref))
        for (const { ref, op, state, at, bytes } of page) {
          if (bytes === null || bytes.length === 0) continue
          const kind = state === 'done' ? 'answer' : 'checkpoint'
          yield { ref, at, ...(op === '' ? {} : { op }), kind, bytes }
        }
        if (page.length < SUBJECT_PAGE) return
        after = page.at(-1)!.ref
      }
    },

    async sweep(limit) {
      const { rows } = await ask({ text: sql.sweep, values: [limit] }, undefined)
      return (rows[0] as { count: number }).count
    },

    async trace(correlationId, limit) {
      const { rows } = await ask({ text: sql.trace, values: [correlationId, limit] }, undefined)
      return (rows as TraceColumns[]).map(({ at_ms, operation_id, answer, ...record }) => ({
        ...record,
        atMs: at_ms,
        operationId: operation_id,
        ...(answer === null ? {} : { bytes: answer }),
      }))
    },

    async counts(limit) {
      const { rows } = await ask({ text: sql.counts, values: [] }, limit)
      return Object.fromEntries((rows as { state: string; count: number }[]).map(({ state, count }) => [state, count]))
    },

    async stuck(max, limit) {
      const { rows } = await ask({ text: sql.stuck, values: [max] }, limit)
      return (rows as (PeekRow & { ref: Uint8Array; scope: string })[]).map(({ ref, scope, ...row }) => ({
        ref: new Uint8Array(ref),
        ...viewOf(row),
        ...(scope === '' ? {} : { scope }),
      }))
    },
  }
}

interface SubjectRow {
  ref: Uint8Array
  op: string
  state: RecordView['state']
  at: number
  bytes: Uint8Array | null
}

interface TraceColumns {
  ref: Uint8Array
  at_ms: number
  state: RecordView['state']
  attempt: number
  operation_id: string
  scope: string
  op: string
  answer: Uint8Array | null
}

interface PeekRow {
  state: RecordView['state']
  attempt: number
  operation_id: string
  op: string
  age_ms: number
  lease_left_ms: number | null
  expires_in_ms: number
  bytes: number
}

function viewOf(row: PeekRow): RecordView {
  return {
    state: row.state,
    attempt: row.attempt,
    ageMs: row.age_ms,
    ...(row.state === 'inflight' ? { leaseLeftMs: row.lease_left_ms ?? 0 } : {}),
    expiresInMs: row.expires_in_ms,
    bytes: row.bytes,
    operationId: row.operation_id,
    ...(row.op === '' ? {} : { op: row.op }),
  }
}

/** Whoever holds the row lets it go: the same call succeeds later, and the server is well. */
function lockedAsUnavailable(error: unknown): unknown {
  if (!isLockTimeout(error)) return error
  return new KernelError('STORE_UNAVAILABLE', 'another transaction holds the record', {
    cause: error,
    retryAfter: 100,
    details: { reason: 'overload' },
  })
}
