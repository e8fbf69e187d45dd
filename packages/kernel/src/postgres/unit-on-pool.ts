import { systemClock } from '../clock.ts'
import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import { unavailable } from '../store-guard.ts'
import type { QueryResult, Statement } from '../tx.ts'
import { acquire } from './acquire.ts'
import { canBatch, sendBatch } from './batch.ts'
import { answered, unanswered } from './connect-limit.ts'
import { isAboutNames, knowsNames, learnFrom } from './named.ts'
import type { PgClientLike, PgPoolLike } from './driver.ts'
import { isLoss, watchLink, type Link } from './link.ts'
import { openTx, type OpenTx } from './open-tx.ts'
import { prepared } from './prepared.ts'
import { sqlState } from './sql-state.ts'
import { stallLimit } from './stall.ts'
import { closing, endedByWork, MARK_OPEN } from './still-open.ts'
import { severalCommands, statementError } from './statement-error.ts'
import type { Isolation, UnitEnd, UnitPlan } from './unit-plan.ts'

/** A ROLLBACK that takes longer is left to the server: the connection is closed. */
const ROLLBACK_MS = 5_000

/** A unit on a connection of a pg Pool. */
export async function unitOnPool<T>(pool: PgPoolLike, plan: UnitPlan<T>): Promise<T> {
  const { client, link, opened } = await begin(pool, plan)
  const open = openTx((...args: [string]) => client.query(...args), client)
  let tailSent = false
  try {
    const end = await work(plan, open, link, opened)
    open.end()
    if (end.end === 'rollback') {
      rollBack(client, link, open)
      return end.value
    }
    if (isIdle(client)) throw endedByWork(undefined)

    tailSent = true
    await link.answer(fly(pool, client, [...closing(end.statements, open.failure), COMMIT]), plan.stallMs, 'COMMIT')
    answered(pool)
    link.release()
    return end.value
  } catch (error) {
    open.end()
    if (tailSent && !saysNo(error, open)) link.lose(error as Error)
    if (link.lost === undefined) rollBack(client, link, open)
    else link.release()
    if (link.lost !== undefined)
      throw tailSent && !wasIdle(link.lost) ? commitUnknown(link.lost) : lostError(link.lost, error)
    // 25P02 only says that an earlier statement failed: that one is the reason.
    throw tailSent && sqlState(error) === '25P02' ? (open.failure ?? aborted(error)) : error
  }
}

/** Idle connections that died with an old server are met one after the other; there are not more than these. */
const STALE_CONNECTIONS = 100

/** A connection with its opening flight answered. One that turns out dead is replaced: nothing has happened on it. */
async function begin<T>(
  pool: PgPoolLike,
  plan: UnitPlan<T>,
): Promise<{ client: PgClientLike; link: Link; opened: QueryResult[] }> {
  const opening = [beginStatement(plan.isolation), serverStallLimit(plan.stallMs), ...plan.open]
  const untilMs = systemClock.monotonic() + plan.openMs
  for (let stale = 0; ; stale++) {
    const openMs = Math.max(1, untilMs - systemClock.monotonic())
    const { client, leftMs } = await acquire(pool, { openMs, acquireMs: plan.acquireMs })
    const link = watchLink(client)
    try {
      const opened = await link.answer(fly(pool, client, opening), leftMs, 'the opening flight')
      answered(pool)
      return { client, link, opened: opened.slice(2) }
    } catch (error) {
      if (link.lost === undefined) {
        rollBack(client, link)
        if (isAboutNames(error)) continue
        throw error
      }
      link.release()
      // Only an answer that did not come in time is an error of ours.
      if (isKeelsonError(link.lost)) unanswered(pool)
      const tryAnother = !isKeelsonError(link.lost) && systemClock.monotonic() < untilMs && stale < STALE_CONNECTIONS
      if (!tryAnother) throw lostError(link.lost, error)
    }
  }
}

// Without a name: whoever reads along sees what becomes of the transaction.
const COMMIT: Statement = { text: 'COMMIT' }

function beginStatement(isolation: Isolation | undefined): Statement {
  return { text: isolation === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}` }
}

/** The server ends a session whose process stands still inside the transaction: a late COMMIT then fails. And the mark. */
function serverStallLimit(stallMs: number): Statement {
  return prepared(`select set_config('idle_in_transaction_session_timeout', $1, true), ${MARK_OPEN}`, [
    String(Math.ceil(stallMs)),
  ])
}

/** The statements in one flight; one by one on clients of unknown shape (native bindings, a proxy). */
async function fly(pool: PgPoolLike, client: PgClientLike, statements: readonly Statement[]): Promise<QueryResult[]> {
  if (canBatch(client)) {
    const byName = knowsNames(pool)
    return sendBatch(client, statements, { byName }).catch((error: unknown) => {
      if (byName) learnFrom(error, pool)
      throw error
    })
  }
  const results: QueryResult[] = []
  for (const statement of statements) {
    const result = await client.query(statement.text, statement.values).catch((error: unknown) => {
      throw statementError(error, statement)
    })
    if (Array.isArray(result)) throw severalCommands(statement)
    results.push(result)
  }
  return results
}

/** True when the server says that no transaction is open: raw access, or two commands in one text, have ended it. */
function isIdle(client: PgClientLike): boolean {
  return (client as { getTransactionStatus?(): unknown }).getTransactionStatus?.() === 'I'
}

/** True for a clear no to the closing flight: the server's own error, a statement that never left, an aborted transaction. */
function saysNo(error: unknown, open: OpenTx): boolean {
  return isKeelsonError(error) || error === open.failure || sqlState(error) !== undefined
}

/** The server ended the session before it read the closing flight, so COMMIT was not executed. */
function wasIdle(lost: Error): boolean {
  return sqlState(lost) === '25P03'
}

async function work<T>(
  plan: UnitPlan<T>,
  open: OpenTx,
  link: Link,
  opened: readonly QueryResult[],
): Promise<UnitEnd<T>> {
  const limit = stallLimit(open, plan.stallMs)
  limit.stalled.catch(link.lose)
  try {
    const end = await link.orLost(plan.work(open.tx, opened))
    const unawaited = await link.orLost(open.settled())
    if (unawaited !== undefined) throw unawaited
    // An unanswered statement may still run: whoever swallows that error cannot commit behind it.
    if (open.failure !== undefined && isLoss(open.failure)) throw open.failure
    return end
  } catch (error) {
    if (isLoss(open.failure)) link.lose(open.failure!)
    throw error
  } finally {
    limit.cancel()
  }
}

/** The value goes out first; the connection goes back when the server has answered, statements under way included. */
function rollBack(client: PgClientLike, link: Link, open?: OpenTx): void {
  const underWay = open === undefined || open.pending === 0 ? undefined : open.settled()
  const sent = underWay === undefined ? client.query('ROLLBACK') : underWay.then(() => client.query('ROLLBACK'))
  void link
    .answer(sent, ROLLBACK_MS, 'ROLLBACK')
    .catch((error: Error) => link.lose(error))
    .then(link.release)
}

function commitUnknown(lost: Error): KernelError {
  const message = 'the connection was lost before COMMIT was answered: it may have happened'
  return new KernelError('COMMIT_UNKNOWN', message, { cause: lost })
}

function lostError(lost: Error, thrown: unknown): unknown {
  // The work's own error is its own matter, whatever became of the connection.
  if (thrown !== lost && !isLoss(thrown)) return thrown
  if (isKeelsonError(lost)) return lost
  return unavailable('Postgres', `ended the connection: ${lost.message}`, 'refused', undefined, lost)
}

function aborted(cause: unknown): KernelError {
  return new KernelError('INPUT_INVALID', 'a statement of this transaction failed, so it was rolled back', { cause })
}
