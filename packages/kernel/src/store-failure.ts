import { isKeelsonError } from './error.ts'

/** SQLSTATEs of a server that cannot serve: class 08 connection, 57P01 to 57P03 shutdown and start-up, 53300 too many connections. */
const SQLSTATE = /^(08\w{3}|57P0[123]|53300)$/
/** Postgres answers a wrong number of parameters with it, pgbouncer (always FATAL) whatever it cannot serve. */
const PROTOCOL_VIOLATION = '08P01'
const SYSTEM = /^(ECONN\w+|EPIPE|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT)$/
/** Drivers of Postgres raise these without a code. */
const POSTGRES =
  /Connection terminated|connection error and is not queryable|Client was closed|timeout exceeded when trying to connect|^timeout expired$|Cannot use a pool after calling end|PGlite is closed/
/**
 * How a Redis begins that cannot serve: it starts, is full, busy with a script, cannot store, or is not the one that
 * serves this key now. Redis 6 wraps what a script's command was answered.
 */
const REDIS =
  /^(ERR Error running script .*: -)?(LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|OOM|BUSY|MISCONF|NOREPLICAS|TRYAGAIN|MOVED|ASK|UNBLOCKED) |^ERR max number of clients reached/
const IOREDIS =
  /^(Connection is closed\.|Command timed out|Command aborted due to connection close|Reached the max retries per request|Stream isn't writeable|Cluster isn't ready|Cluster is (ended|disconnect)|None of startup nodes is available|Failed to refresh slots cache\.|Too many Cluster redirections|No subscriber for the cluster|No master node is available|All sentinels are unreachable|Socket timeout)/
const NODE_REDIS =
  /^(The client is (closed|offline)|Disconnects client|Socket closed unexpectedly|Connection timeout$|Command timeout during maintenance|All the root nodes are unavailable|Cannot find node |None of the sentinels are available)/

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
  if (isNodeRedisTimeout(error)) return true
  return [POSTGRES, REDIS, IOREDIS, NODE_REDIS].some((messages) => messages.test(error.message))
}

/** A command that was not sent within its `timeout`: it says nothing. With words it is a full pool's, which is none. */
function isNodeRedisTimeout(error: Error): boolean {
  return error.message === '' && error.constructor.name === 'TimeoutError'
}
