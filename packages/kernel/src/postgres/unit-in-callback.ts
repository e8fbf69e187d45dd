import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import { cannotWrite, isStoreFailure } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import type { Database, QueryResult, Statement, Tx } from '../tx.ts'
import { answered, connectLimit } from './connect-limit.ts'
import type { Driver } from './driver.ts'
import { openTx, type OpenTx } from './open-tx.ts'
import { sqlState } from './sql-state.ts'
import { stallLimit } from './stall.ts'
import { stepLimit } from './step-limit.ts'
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

/** A ROLLBACK that takes longer is left to the driver. */
const ROLLBACK_MS = 5_000

/** Units that are on their way in a database: behind them another one queues. */
const underWay = new WeakMap<Database, number>()

/**
 * A unit inside the `transaction()` of PGlite or of a Database wrapped by hand: the same meaning, statement by
 * statement. A wrapped database may stand still at each step, so each has its limit, as on a pool. PGlite lives in
 * this process: waiting for its one connection is queueing, bounded by `stall`, never a failure of the store.
 */
export async function unitInCallback<T>({ kind, db }: Exclude<Driver, { kind: 'pg' }>, plan: UnitPlan<T>): Promise<T> {
  const limit = stepLimit()
  let open: OpenTx | undefined
  let tailSent = false

  const others = underWay.get(db) ?? 0
  const custom = kind === 'custom'
  const times = custom ? plan : { openMs: plan.stallMs, acquireMs: plan.stallMs }
  const queue = connectLimit(db, custom && others > 0, times)
  queue.expired.catch((waitedMs: number) => {
    const reason = custom && others === 0 ? 'timeout' : 'overload'
    limit.giveUp(unavailable('database', `gave no connection in ${waitedMs} ms`, reason))
  })

  const inside = async (driverTx: Tx): Promise<T> => {
    queue.cancel()
    // The caller was told no: nothing may happen any more.
    if (limit.gaveUp) throw new RolledBack(undefined)
    if (custom) limit.begin(queue.leftMs(), (ms) => unavailable('database', `did not begin in ${ms} ms`, 'timeout'))
    if (plan.isolation !== undefined) {
      await driverTx.query(`SET TRANSACTION ISOLATION LEVEL ${plan.isolation.toUpperCase()}`)
    }
    const [, ...opened] = await sendEach(driverTx, [{ text: `select ${MARK_OPEN}` }, ...plan.open])
    limit.cancel()
    if (limit.gaveUp) throw new RolledBack(undefined)
    answered(db)
    open = openTx((...args: [string]) => driverTx.query(...args), driverTx.raw ?? driverTx)
    const end = await work(plan, open, opened).catch((error: unknown) => {
      limit.begin(ROLLBACK_MS, () => error)
      throw error
    })
    open.end()
    if (end.end === 'rollback') {
      const back = new RolledBack(end.value)
      limit.begin(ROLLBACK_MS, () => back)
      throw back
    }
    if (custom) limit.begin(plan.stallMs, (ms) => stalled(`no answer in ${ms} ms`))
    await sendEach(driverTx, closing(end.statements, open.failure))
    tailSent = true
    return end.value
  }

  underWay.set(db, others + 1)
  try {
    const value = await Promise.race([db.transaction(inside), limit.expired])
    answered(db)
    return value
  } catch (error) {
    if (error instanceof RolledBack) return error.value as T
    throw unitError(error, tailSent && custom, open?.failure)
  } finally {
    underWay.set(db, underWay.get(db)! - 1)
    queue.cancel()
    limit.cancel()
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

function unitError(error: unknown, ambiguous: boolean, failure: Error | undefined): unknown {
  const message = (error as Error | null)?.message
  if (isKeelsonError(error, 'COMMIT_UNKNOWN') || cannotWrite(error)) return error
  // Only an error of the server says that COMMIT did not happen.
  if (ambiguous && (isStoreFailure(error) || sqlState(error) === undefined)) {
    return commitUnknown(String(message), error)
  }
  if (isKeelsonError(error)) return error
  if (isStoreFailure(error)) {
    return unavailable('database', `ended the connection: ${message}`, 'refused', undefined, error)
  }
  // 25P02 only says that an earlier statement failed: that one is the reason.
  return sqlState(error) === '25P02' ? (failure ?? error) : error
}

function stalled(why: string): KernelError {
  return commitUnknown(why, unavailable('database', `stands still: ${why}`, 'timeout'))
}

function commitUnknown(why: string, cause: unknown): KernelError {
  return new KernelError('COMMIT_UNKNOWN', `COMMIT was not answered, it may have happened: ${why}`, { cause })
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
