import type { PgPoolLike } from './driver.ts'
import { sqlState } from './sql-state.ts'

/**
 * The server does not know a name that this connection has given it (a pooler between them has changed servers, or
 * somebody has sent DISCARD ALL), or what the name stands for was altered meanwhile.
 */
const FORGOTTEN = ['26000', '0A000']

const nameless = new WeakSet<PgPoolLike>()
const restarts = new WeakSet<object>()

/** False once names have failed on a pool: then each statement is parsed each time. */
export function knowsNames(pool: PgPoolLike): boolean {
  return !nameless.has(pool)
}

/** The error of a flight. When it came by a name, it is marked: the transaction has changed nothing and can begin again. */
export function learnFrom(error: unknown, pool: PgPoolLike): unknown {
  if (knowsNames(pool) && error instanceof Error && FORGOTTEN.includes(sqlState(error) ?? '')) {
    nameless.add(pool)
    restarts.add(error)
  }
  return error
}

/** True for an error that was only about a name. */
export function isAboutNames(error: unknown): boolean {
  return error instanceof Error && restarts.has(error)
}
