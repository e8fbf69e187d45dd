import { systemClock } from '../clock.ts'
import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import { isStoreFailure } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import type { QueryResult, Statement, Tx } from '../tx.ts'
import type { Driver } from './driver.ts'
import { openTx, type OpenTx } from './open-tx.ts'
import { sqlState } from './sql-state.ts'
import { stallLimit } from './stall.ts'
import { closing, MARK_OPEN } from './still-open.ts'
import { severalCommands, statementError } from './statement-error.ts'
import type { UnitEnd, UnitPlan } from './unit-plan.ts'

/** Thrown through a driver's `transaction()` to make it roll back with a value. */
class RolledBack<T> extends Error {
  readonly value: T
  constructor(value: T) {
    super('rolled back as asked')
    this.value = value
  }
}

/**
 * A unit inside the `transaction()` of PGlite or of a Database wrapped by hand: the same meaning, statement by
 * statement. Waiting for the one connection of PGlite is queueing, bounded by `stall`, never a failure of the store.
 */
export async function unitInCallback<T>({ kind, db }: Exclude<Driver, { kind: 'pg' }>, plan: UnitPlan<T>): Promise<T> {
  const queue = queueLimit(plan.stallMs)
  let open: OpenTx | undefined
  let tailSent = false

  const inside = async (driverTx: Tx): Promise<T> => {
    queue.enter()
    if (plan.isolation !== undefined) {
      await driverTx.query(`SET TRANSACTION ISOLATION LEVEL ${plan.isolation.toUpperCase()}`)
    }
    const [, ...opened] = await sendEach(driverTx, [{ text: `select ${MARK_OPEN}` }, ...plan.open])
    open = openTx((...args: [string]) => driverTx.query(...args), driverTx.raw ?? driverTx)
    const end = await work(plan, open, opened)
    open.end()
    if (end.end === 'rollback') throw new RolledBack(end.value)
    await sendEach(driverTx, closing(end.statements, open.failure))
    tailSent = true
    return end.value
  }

  try {
    return await Promise.race([db.transaction(inside), queue.expired])
  } catch (error) {
    if (error instanceof RolledBack) return error.value as T
    throw unitError(error, tailSent && kind === 'custom', open?.failure)
  } finally {
    queue.cancel()
    open?.end()
  }
}

async function work<T>(plan: UnitPlan<T>, open: OpenTx, opened: readonly QueryResult[]): Promise<UnitEnd<T>> {
  const limit = stallLimit(open, plan.stallMs)
  try {
    const end = await Promise.race([plan.work(open.tx, opened), limit.stalled])
    const unawaited = await Promise.race([open.settled(), limit.stalled])
    if (unawaited !== undefined) throw unawaited
    return end
  } catch (error) {
    // What is under way or waits must not reach the connection behind the driver's ROLLBACK.
    open.end()
    await Promise.race([open.settled(), limit.stalled]).catch(() => {})
    throw error
  } finally {
    limit.cancel()
  }
}

/** How long a unit may wait until its driver lets it in. */
function queueLimit(limitMs: number): { expired: Promise<never>; enter(): void; cancel(): void } {
  let gaveUp = false
  let reject!: (error: KernelError) => void
  const expired = new Promise<never>((_, fail) => (reject = fail))
  expired.catch(() => {})
  const timer = systemClock.timer(() => {
    gaveUp = true
    reject(unavailable('database', `gave no connection in ${Math.round(limitMs)} ms`, 'overload'))
  }, limitMs)
  return {
    expired,
    enter() {
      timer.cancel()
      // The caller was told no: nothing may happen any more.
      if (gaveUp) throw new RolledBack(undefined)
    },
    cancel: timer.cancel,
  }
}

function unitError(error: unknown, ambiguous: boolean, failure: Error | undefined): unknown {
  const message = (error as Error | null)?.message
  if (isKeelsonError(error, 'COMMIT_UNKNOWN')) return error
  // Only an error of the server says that COMMIT did not happen.
  if (ambiguous && (isStoreFailure(error) || sqlState(error) === undefined)) {
    return new KernelError('COMMIT_UNKNOWN', `COMMIT was not answered, it may have happened: ${message}`, {
      cause: error,
    })
  }
  if (isKeelsonError(error)) return error
  if (isStoreFailure(error)) {
    return unavailable('database', `ended the connection: ${message}`, 'refused', undefined, error)
  }
  // 25P02 only says that an earlier statement failed: that one is the reason.
  return sqlState(error) === '25P02' ? (failure ?? error) : error
}

async function sendEach(tx: Tx, statements: readonly Statement[]): Promise<QueryResult[]> {
  const results: QueryResult[] = []
  for (const statement of statements) {
    const { text, values } = statement
    const result = await (values === undefined ? tx.query(text) : tx.query(text, values)).catch((error: unknown) => {
      throw statementError(error, statement)
    })
    // A driver that runs two commands answers two results.
    if (Array.isArray(result)) throw severalCommands(statement)
    results.push(result)
  }
  return results
}
