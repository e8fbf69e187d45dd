import type { PgPoolLike } from './driver.ts'
import { sqlState } from './sql-state.ts'

/**
 * The server does not know a name that this connection has given it (a pooler between them has changed servers, or
 * somebody has sent DEALLOCATE ALL), or what the name stands for was altered meanwhile.
 */
const FORGOTTEN = ['26000', '0A000']

const nameless = new WeakSet<PgPoolLike>()
const aboutNames = new WeakSet<object>()

/** False once names have failed on a pool: from then on each statement is parsed each time. */
export function knowsNames(pool: PgPoolLike): boolean {
  return !nameless.has(pool)
}

/** Notes what the error of a flight that went by name says of the pool. */
export function learnFrom(error: unknown, pool: PgPoolLike): void {
  if (!(error instanceof Error) || !FORGOTTEN.includes(sqlState(error) ?? '')) return
  nameless.add(pool)
  aboutNames.add(error)
}

/** True for an error that was only about a name: its transaction has changed nothing, and can begin again. */
export function isAboutNames(error: unknown): error is Error {
  return error instanceof Error && aboutNames.has(error)
}
