import { show } from '../duration.ts'
import { KernelError } from '../kernel-error.ts'
import type { Database, QueryResult } from '../tx.ts'

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

/** What every function here takes as a database. */
export type DatabaseLike = PgPoolLike | PGliteLike | Database

/** A database as `database()` knows it. */
export interface KnownDatabase extends Database {
  readonly kind: 'pg' | 'pglite' | 'custom'
}

/** What is behind a database: how a unit reaches it. */
export type Driver =
  | { readonly kind: 'pg'; readonly pool: PgPoolLike }
  | { readonly kind: 'pglite' | 'custom'; readonly db: Database }

/** By it `database()` marks its own, not by `kind`, which another's Database may have too. */
export const DRIVER: unique symbol = Symbol.for('keelson.driver') as never

/**
 * Recognises a driver by its shape: the kernel imports none.
 * @throws KernelError OPTION_INVALID that says what was found.
 */
export function driverOf(db: DatabaseLike): Driver {
  if (typeof db !== 'object' || db === null) throw notADatabase(db)
  if (DRIVER in db) return db[DRIVER] as Driver
  if (isPool(db)) return { kind: 'pg', pool: db }
  if (typeof db.query !== 'function' || typeof (db as Database).transaction !== 'function') throw notADatabase(db)
  return { kind: isPglite(db) ? 'pglite' : 'custom', db }
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
