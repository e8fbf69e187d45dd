import { isKeelsonError } from '../error.ts'
import { isStoreFailure } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import { connectLimit, isSilent, type ConnectTimes } from './connect-limit.ts'
import type { PgClientLike, PgPoolLike } from './driver.ts'

const STORE = 'Postgres'

/**
 * A connection of the pool, and what is left of `openMs` for the opening flight.
 * @throws STORE_UNAVAILABLE 'overload' for a full pool, 'timeout' or 'refused' for a server that does not let us in.
 */
export async function acquire(
  pool: PgPoolLike,
  times: ConnectTimes,
): Promise<{ client: PgClientLike; leftMs: number }> {
  const queued = isFull(pool)
  let gaveUp = false
  const connecting = pool.connect()
  // A connection that comes after its caller was told no goes back.
  void connecting.then(
    (client) => gaveUp && client.release(),
    () => {},
  )
  const limit = connectLimit(pool, queued, times)
  const expired = limit.expired.catch((waitedMs: number) => {
    gaveUp = true
    if (!queued) throw unavailable(STORE, `did not accept a connection in ${waitedMs} ms`, 'timeout')
    // A server that stands still fills the pool with connections that wait for it: that is no load.
    const reason = isSilent(pool) ? 'timeout' : 'overload'
    throw unavailable(STORE, `pool is full: no connection in ${waitedMs} ms`, reason)
  })
  try {
    const client = await Promise.race([connecting, expired])
    return { client, leftMs: limit.leftMs() }
  } catch (error) {
    throw connectError(error, queued)
  } finally {
    limit.cancel()
  }
}

/** Wrong passwords and missing databases stay the driver's errors: waiting does not cure them. */
function connectError(error: unknown, queued: boolean): unknown {
  if (isKeelsonError(error)) return error
  if (!isStoreFailure(error)) return error
  const message = (error as Error).message
  const poolTimeout = message.includes('timeout exceeded when trying to connect')
  if (poolTimeout && queued) return unavailable(STORE, `pool is full: ${message}`, 'overload', undefined, error)
  const reason = /timeout/.test(message) ? 'timeout' : 'refused'
  return unavailable(STORE, `refused the connection: ${message}`, reason, undefined, error)
}

/** An idle connection may already be promised to one who came in the same tick. */
function isFull(pool: PgPoolLike): boolean {
  const max = (pool as { options?: { max?: number } }).options?.max ?? 10
  return max - pool.totalCount + pool.idleCount <= pool.waitingCount
}
