import { systemClock } from '../clock.ts'
import type { Duration } from '../duration.ts'
import { checkOptions, opt, type Opt } from '../options.ts'
import type { KernelError } from '../kernel-error.ts'
import { cannotWrite } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import type { QueryResult, Statement, Tx } from '../tx.ts'
import { driverOf, type DatabaseLike } from './driver.ts'
import { isAboutNames } from './named.ts'
import { observed } from './observed.ts'
import { causedBy, SERIALIZATION_FAILURES } from './sql-state.ts'
import type { Isolation, UnitEnd, UnitPlan } from './unit-plan.ts'
import { unitInCallback } from './unit-in-callback.ts'
import { unitOnPool } from './unit-on-pool.ts'

/** What `unit` takes. */
export interface UnitOptions<T> {
  /** Leave together with BEGIN, in one flight. */
  readonly open: readonly Statement[]
  /** Called again from the start after 40001 and 40P01, and when the server has forgotten prepared statements. */
  work(tx: Tx, opened: readonly QueryResult[]): Promise<UnitEnd<T>>
  readonly isolation?: Isolation
  /** At most so many such restarts; default 2. */
  readonly retries?: number
  /** How long the process or one statement may stand still inside the transaction; default 30 s. Then it rolls back. */
  readonly stall?: Duration
  /** How long to queue for a connection of a full pool; default 5 s. */
  readonly acquireTimeout?: Duration
  /** How long the server may take to connect and answer the opening flight, lock waits included; default 5 s. */
  readonly openTimeout?: Duration
}

export const isolationOption: Opt<Isolation | undefined> = opt.custom(
  "'read committed', 'repeatable read' or 'serializable'",
  (given) => given === 'read committed' || given === 'repeatable read' || given === 'serializable',
)

/** Postgres takes idle_in_transaction_session_timeout as an int of ms. */
export const stallOption: Opt<number> = opt.duration('30s', { min: 1, max: '24d' })

const SPEC = {
  open: opt.required(opt.custom<readonly Statement[]>('an array of statements', Array.isArray)),
  work: opt.required(opt.fn()),
  isolation: isolationOption,
  retries: opt.integer(2, { max: 100 }),
  stall: stallOption,
  acquireTimeout: opt.duration('5s', { min: 1 }),
  openTimeout: opt.duration('5s', { min: 1 }),
}

/**
 * One database transaction in as few flights as the driver allows: BEGIN with `open`, the work's own statements, and
 * the closing statements with COMMIT. Below `transact()` and `idempotency.transaction()`.
 *
 * Resolves only after COMMIT was acknowledged. Rejects with what `work` threw, after a rollback; or with
 * - STORE_UNAVAILABLE: no connection, or it was lost before the closing flight was sent; or a server that cannot write,
 *   as a standby, has refused `open` or the closing statements. Nothing happened.
 * - COMMIT_UNKNOWN: the connection was lost afterwards. It may have committed or not.
 * - the driver's error of a closing statement. Nothing happened.
 */
export async function unit<T>(db: DatabaseLike, options: UnitOptions<T>): Promise<T> {
  const checked = checkOptions('unit', options, SPEC)
  let end: UnitEnd<T>['end'] = 'commit'
  let thrown: unknown
  const plan: UnitPlan<T> = {
    open: options.open,
    async work(tx, opened) {
      try {
        const done = await options.work(tx, opened)
        end = done.end
        return done
      } catch (error) {
        thrown = error
        throw error
      }
    },
    isolation: checked.isolation,
    stallMs: checked.stall,
    acquireMs: checked.acquireTimeout,
    openMs: checked.openTimeout,
  }
  const driver = driverOf(db)
  const once = (): Promise<T> => (driver.kind === 'pg' ? unitOnPool(driver.pool, plan) : unitInCallback(driver, plan))
  return observed(async (message) => {
    for (let restarts = 0; ; message.restarts = ++restarts) {
      try {
        return { value: await once(), end }
      } catch (error) {
        // The work's own error is its own matter.
        if (error !== thrown && cannotWrite(error)) throw refused(error as Error)
        if (restarts >= checked.retries || !canRestart(error)) throw isAboutNames(error) ? forgotten(error) : error
        await systemClock.sleep(5 + Math.random() * 45)
      }
    }
  })
}

function canRestart(error: unknown): boolean {
  return causedBy(error, SERIALIZATION_FAILURES) || isAboutNames(error)
}

function refused(cause: Error): KernelError {
  return unavailable('Postgres', `takes nothing now: ${cause.message}`, 'refused', undefined, cause)
}

/** Only where nothing may be restarted: else nobody hears of it. */
function forgotten(cause: Error): KernelError {
  return unavailable('Postgres', 'has forgotten the prepared statements of a connection', 'refused', 100, cause)
}
