import { isKeelsonError } from './error.ts'

/** SQLSTATEs of a server that cannot serve: class 08 connection, 57P01 to 57P03 shutdown and start-up, 53300 too many connections. */
const SQLSTATE = /^(08\w{3}|57P0[123]|53300)$/
/** Postgres answers a wrong number of parameters with it, pgbouncer (always FATAL) whatever it cannot serve. */
const PROTOCOL_VIOLATION = '08P01'
const SYSTEM = /^(ECONN\w+|EPIPE|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT)$/
/** Drivers raise these without a code. */
const MESSAGE =
  /Connection terminated|connection error and is not queryable|Client was closed|timeout exceeded when trying to connect|^timeout expired$|Cannot use a pool after calling end|PGlite is closed/

/**
 * True for an error that says the store cannot be reached or cannot serve: nobody is to blame but the store, and a
 * guard opens. False for conflicts, constraints, lock time-outs (55P03) and the caller's own mistakes.
 */
export function isStoreFailure(error: unknown): boolean {
  if (isKeelsonError(error)) {
    const { reason }: { reason?: unknown } = error.details ?? {}
    if (error.code === 'STORE_UNAVAILABLE') return reason !== 'overload' && reason !== 'open'
    return error.code === 'COMMIT_UNKNOWN'
  }
  if (error instanceof AggregateError) return error.errors.some(isStoreFailure)
  if (!(error instanceof Error)) return false
  const { code, severity } = error as { code?: unknown; severity?: unknown }
  if (code === PROTOCOL_VIOLATION) return severity === 'FATAL'
  if (typeof code === 'string') return SQLSTATE.test(code) || SYSTEM.test(code)
  return MESSAGE.test(error.message)
}
