import { KernelError } from '../kernel-error.ts'
import type { Database, Tx } from '../tx.ts'
import { DRIVER, driverOf, type DatabaseLike, type Driver, type KnownDatabase, type PgPoolLike } from './driver.ts'
import { unit } from './unit.ts'

/** What was asked before: one object a driver's instance. */
const known = new WeakMap<object, KnownDatabase>()

/**
 * A pg Pool, a PGlite or a Database wrapped by hand as one shape.
 * @throws KernelError OPTION_INVALID that says what was found.
 */
export function database(db: DatabaseLike): KnownDatabase {
  const driver = driverOf(db)
  if (DRIVER in db) return db as unknown as KnownDatabase
  let found = known.get(db)
  if (found === undefined) known.set(db, (found = wrap(driver)))
  return found
}

function wrap(driver: Driver): KnownDatabase {
  const { kind } = driver
  if (kind === 'pg') refuseBinary(driver.pool)
  const target: Tx = kind === 'pg' ? driver.pool : driver.db
  const made: KnownDatabase & { [DRIVER]: Driver } = {
    [DRIVER]: driver,
    kind,
    // All arguments of the driver pass: an ORM gives it more than two.
    query: (...args) => target.query(...args),
    transaction: kind === 'pg' ? (work) => closureTransaction(made, work) : (work) => driver.db.transaction(work),
  }
  return made
}

/** In this mode pg makes text of bytes, and some numbers come as others: answers, events and entries would be wrong. */
function refuseBinary(pool: PgPoolLike): void {
  if ((pool as { options?: { binary?: unknown } }).options?.binary !== true) return
  throw new KernelError('OPTION_INVALID', 'database: "db" must be a pg Pool without `binary: true`')
}

function closureTransaction<T>(db: Database, work: (tx: Tx) => Promise<T>): Promise<T> {
  return unit(db, {
    open: [],
    retries: 0,
    work: async (tx) => ({ end: 'commit', statements: [], value: await work(tx) }),
  })
}
