import { isKeelsonError } from './error.ts'

/**
 * SQLSTATEs of a server that cannot serve: class 08 connection, 57P01 to 57P03 shutdown and start-up, 53300 too many
 * connections.
 */
const SQLSTATE = /^(08\w{3}|57P0[123]|53300)$/
/** Of one that answers, but cannot write now: it only reads, as a standby does; no room on disk or in memory; a broken disk. */
const CANNOT_WRITE = /^(25006|53[12]00|58030)$/
/** What a standby says of UNLOGGED tables, by the server's function: the code has other meanings, the message any language. */
const NOT_SUPPORTED = '0A000'
const PLANNER = 'get_relation_info'
/** Postgres answers a wrong number of parameters with it, pgbouncer (always FATAL) whatever it cannot serve. */
const PROTOCOL_VIOLATION = '08P01'
const SYSTEM = /^(ECONN\w+|EPIPE|E(HOST|NET)(UNREACH|DOWN)|ENOTFOUND|EAI_AGAIN|ETIMEDOUT)$/

/** What the messages of a Redis begin with that starts, is full or busy, cannot store, or does not serve this key. */
const REDIS_CODES = 'LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|OOM|BUSY|MISCONF|NOREPLICAS|TRYAGAIN|MOVED|ASK|UNBLOCKED'
/** Redis 6 wraps what a script's command was answered. */
const REDIS = new RegExp(`^(ERR Error running script .*: -)?(${REDIS_CODES}) `)

/** What the messages begin with that have no code. */
const BEGINNINGS = [
  // pg and its pool
  'Connection terminated',
  'Client has encountered a connection error',
  'Client was closed',
  'timeout exceeded when',
  'timeout expired',
  'Cannot use a pool after',
  // PGlite
  'PGlite is closed',
  // a Redis
  'ERR max number of clients',
  // ioredis
  'Connection is closed',
  'Command timed out',
  'Command aborted',
  'Reached the max retries',
  "Stream isn't writeable",
  "Cluster isn't ready",
  'Cluster is ended',
  'None of startup nodes',
  'Failed to refresh slots',
  'Too many Cluster',
  'No master node',
  'All sentinels',
  // node-redis
  'The client is closed',
  'The client is offline',
  'Disconnects client',
  'Socket closed',
  'Connection timeout',
  'Socket timeout',
  'Command timeout',
  'All the root nodes',
  'None of the sentinels',
  'Cannot find node ',
]

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
  if (cannotWrite(error)) return true
  if (typeof code === 'string') return SQLSTATE.test(code) || SYSTEM.test(code)
  if (isNodeRedisTimeout(error)) return true
  return REDIS.test(error.message) || BEGINNINGS.some((text) => error.message.startsWith(text))
}

/**
 * True for the store failures of a Postgres that lives: the statement has failed, its connection goes on. After a
 * failover a pool may be on a standby.
 */
export function cannotWrite(error: unknown): boolean {
  const { code, routine } = (error ?? {}) as { code?: unknown; routine?: unknown }
  if (code === NOT_SUPPORTED) return routine === PLANNER
  return typeof code === 'string' && CANNOT_WRITE.test(code)
}

/** True where Postgres broke a statement off for time: 55P03 by `lock_timeout`, 57014 by `statement_timeout`. The server lives. */
export function isBrokenOff(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === '55P03' || code === '57014'
}

/** A command that was not sent within its `timeout`: it says nothing. With words it is a full pool's, which is none. */
function isNodeRedisTimeout(error: Error): boolean {
  return error.message === '' && error.constructor.name === 'TimeoutError'
}
