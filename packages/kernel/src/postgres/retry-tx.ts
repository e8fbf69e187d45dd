import { systemClock } from '../clock.ts'
import type { Duration } from '../duration.ts'
import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import { checkOptions, opt } from '../options.ts'
import type { Tx } from '../tx.ts'
import { driverOf, type DatabaseLike } from './driver.ts'
import { causedBy, SERIALIZATION_FAILURES } from './sql-state.ts'
import { unit } from './unit.ts'

/** What `retryTx` takes; all optional. */
export interface RetryTxOptions {
  /** With the first; default 8. */
  readonly attempts?: number
  /** Ceiling of the first delay, doubled for each further one; a delay is anything up to it. Default 5 ms. */
  readonly base?: Duration
  /** Ceiling of every delay; default 250 ms. */
  readonly cap?: Duration
  /** What is worth another attempt; default 40001 serialization_failure and 40P01 deadlock_detected. */
  readonly sqlStates?: readonly string[]
  /** Ends the wait for another attempt; a transaction that runs is not cut off. */
  readonly signal?: AbortSignal
}

const SPEC = {
  attempts: opt.integer(8, { min: 1, max: 1_000 }),
  base: opt.duration('5ms'),
  cap: opt.duration('250ms'),
  sqlStates: opt.custom<readonly string[]>(
    "an array of SQLSTATEs such as ['40001']",
    (given) => Array.isArray(given) && given.every((each) => typeof each === 'string' && /^[0-9A-Z]{5}$/.test(each)),
    SERIALIZATION_FAILURES,
  ),
  signal: opt.custom<AbortSignal>('an AbortSignal', (given) => given instanceof AbortSignal),
}

/**
 * A transaction that begins again after a serialization failure or a deadlock: the restarts of `transact()` for a plain
 * closure. `work` may run several times, so it must not touch the outside world.
 *
 * Resolves after COMMIT was acknowledged. Rejects with the last error, the signal's reason, or what `unit()` rejects
 * with; COMMIT_UNKNOWN is never tried again, for it may have committed.
 *
 * @throws KernelError INPUT_INVALID for an open transaction: only a new snapshot cures 40001, no savepoint does.
 */
export async function retryTx<T>(
  db: DatabaseLike,
  work: (tx: Tx) => Promise<T>,
  options: RetryTxOptions = {},
): Promise<T> {
  const o = checkOptions('retryTx', options, SPEC)
  if (isOpenTx(db)) {
    throw new KernelError(
      'INPUT_INVALID',
      'retryTx: "db" must be a database, not an open transaction: only a new snapshot cures 40001, no savepoint does',
    )
  }
  driverOf(db)
  for (let attempt = 1; ; attempt++) {
    o.signal?.throwIfAborted()
    try {
      return await unit(db, {
        open: [],
        retries: 0,
        work: async (tx) => ({ end: 'commit', statements: [], value: await work(tx) }),
      })
    } catch (error) {
      if (attempt >= o.attempts || isKeelsonError(error) || !causedBy(error, o.sqlStates)) throw error
      await systemClock.sleep(Math.random() * Math.min(o.cap, o.base * 2 ** (attempt - 1)), o.signal)
    }
  }
}

/** The Tx of a work, or a client that was checked out: it runs statements and opens nothing. */
function isOpenTx(db: unknown): boolean {
  if (typeof db !== 'object' || db === null || !('query' in db)) return false
  return 'release' in db || (!('transaction' in db) && !('connect' in db))
}
