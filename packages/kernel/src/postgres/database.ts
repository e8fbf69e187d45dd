import { show } from '../duration.ts'
import { KernelError } from '../kernel-error.ts'
import type { Database, QueryResult, Tx } from '../tx.ts'
import { unit } from './unit.ts'

/** A client of `pg`, checked out of a pool. */
export interface PgClientLike {
  query(text: string, values?: any): Promise<QueryResult>
  release(destroy?: boolean | Error): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** A Pool of `pg`. */
export interface PgPoolLike {
  connect(): Promise<PgClientLike>
  query(text: string, values?: any): Promise<QueryResult>
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
}

/** A PGlite instance: the embedded Postgres, one connection. */
export interface PGliteLike {
  query(text: string, values?: any[]): Promise<{ rows: any[] }>
  exec(text: string): Promise<unknown>
  transaction<T>(work: (tx: any) => Promise<T>): Promise<T>
  readonly waitReady: Promise<void>
}

export type DatabaseLike = PgPoolLike | PGliteLike | Database

/** A database as `database()` knows it. */
export interface KnownDatabase extends Database {
  readonly kind: 'pg' | 'pglite' | 'custom'
}

const POOL = Symbol.for('keelson.pool')
/** By it, not by `kind`, which another's Database may have too. */
const BRAND = Symbol.for('keelson.database')

/** What was asked before: one object a driver's instance. */
const known = new WeakMap<object, KnownDatabase>()

/**
 * A pg Pool, a PGlite or a Database wrapped by hand as one shape.
 * @throws KernelError OPTION_INVALID that says what was found.
 */
export function database(db: DatabaseLike): KnownDatabase {
  if (typeof db !== 'object' || db === null) throw notADatabase(db)
  if (BRAND in db) return db as unknown as KnownDatabase
  let found = known.get(db)
  if (found === undefined) known.set(db, (found = recognise(db)))
  return found
}

/** The pool behind a database of kind 'pg'. */
export function poolOf(db: KnownDatabase): PgPoolLike | undefined {
  return (db as { [POOL]?: PgPoolLike })[POOL]
}

function recognise(db: DatabaseLike): KnownDatabase {
  if (isPool(db)) {
    const made: KnownDatabase & { [POOL]: PgPoolLike; [BRAND]: true } = {
      kind: 'pg',
      [BRAND]: true,
      [POOL]: db,
      // All arguments of the driver pass: an ORM gives it more than two.
      query: ((...args: [string]) => db.query(...args)) as Tx['query'],
      transaction: (work) => closureTransaction(made, work),
    }
    return made
  }
  if (typeof db.query !== 'function' || typeof (db as Database).transaction !== 'function') throw notADatabase(db)
  const made: KnownDatabase & { [BRAND]: true } = {
    [BRAND]: true,
    kind: isPglite(db) ? 'pglite' : 'custom',
    query: ((...args: [string]) => db.query(...args)) as Tx['query'],
    transaction: (work) => (db as Database).transaction(work),
  }
  return made
}

function closureTransaction<T>(db: KnownDatabase, work: (tx: Tx) => Promise<T>): Promise<T> {
  return unit(db, {
    open: [],
    retries: 0,
    work: async (tx) => ({ end: 'commit', statements: [], value: await work(tx) }),
  })
}

function isPool(db: object): db is PgPoolLike {
  return 'totalCount' in db && 'connect' in db && typeof db.connect === 'function'
}

function isPglite(db: object): db is PGliteLike {
  return 'waitReady' in db && 'exec' in db
}

function notADatabase(found: unknown): KernelError {
  const hint =
    typeof found === 'object' && found !== null && 'connect' in found
      ? 'a single pg Client cannot open transactions side by side: pass a Pool'
      : `got ${show(found)}`
  return new KernelError(
    'OPTION_INVALID',
    `database: "db" must be a pg Pool, a PGlite or an object with query() and transaction() (${hint})`,
  )
}
