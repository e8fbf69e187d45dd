import { isKeelsonError, type Statement, type Tx } from '@keelson/kernel'
import { prepared, unit, type KnownDatabase, type UnitEnd } from '@keelson/kernel/postgres'
import type { RefDigest } from '../ref.ts'
import type { TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from '../store.ts'
import type { RowClaim, RowClaiming } from './claiming.ts'
import { isLockTimeout } from './lock-timeout.ts'
import { settleSql } from './settle.sql.ts'

/** Where a 4xx takes the business rows back to. It comes after the claim, which must survive that. */
const SAVEPOINT = 'keelson_work'
const afterClaim = (): Statement[] => [prepared(`savepoint ${SAVEPOINT}`)]
/** A row lock has no lease to read: what a busy caller is told. */
const BUSY_MS = 1_000
/** The least time in which a caller whose COMMIT was not answered waits for that transaction's end. */
const SECOND_LOOK_MS = 2_000

/** Claim, work and answer in one transaction. */
export function createWithin(
  target: KnownDatabase,
  schema: string,
  claiming: RowClaiming,
): TransactionalStore['within'] {
  const settle = settleSql(schema)

  /** One transaction. */
  async function attempt<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
  ): Promise<WithinResult<T>> {
    const row: RowClaim = {
      ...claim,
      state: 'unknown',
      nonce: undefined,
      leaseMs: undefined,
      onLapsed: 'take',
      lockMs: claim.waitMs,
    }
    let begun = false
    try {
      return await unit<WithinResult<T>>(target, {
        open: claiming.opening(ref, row, afterClaim()),
        retries: claim.retries,
        stall: claim.stallMs,
        openTimeout: claim.answerMs + claim.waitMs,
        async work(tx, opened) {
          begun = false
          const found = await claiming.read(tx, opened, ref, row, afterClaim())
          if (found.kind !== 'yours')
            return { end: 'rollback', value: found as Exclude<typeof found, { kind: 'lapsed' }> }
          begun = true
          return endOfUnit(ref, claim, found.record.attempt, await work(tx))
        },
      })
    } catch (error) {
      // The lock was not had in time, so the key is held. Later it would be the work's own matter.
      if (!begun && isLockTimeout(error)) return { kind: 'busy', leaseLeftMs: BUSY_MS }
      throw error
    }
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
    const answer = [ref, claim.operationId, stored ? 'done' : 'tombstone', end.bytes ?? null, claim.retainMs]
    return {
      end: 'commit',
      statements: [
        ...(end.end === 'remember' ? [prepared(`rollback to savepoint ${SAVEPOINT}`)] : []),
        ...end.statements,
        prepared(settle, answer),
      ],
      value: { kind: 'ran', value: end.value, stored, attempt: attempts },
    }
  }

  return async (ref, claim, work) => {
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
  }
}
