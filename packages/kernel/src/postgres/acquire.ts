import { systemClock } from '../clock.ts'
import { isKeelsonError } from '../error.ts'
import { isStoreFailure } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import type { PgClientLike, PgPoolLike } from './driver.ts'

const STORE = 'Postgres'
/** When the server behind a pool last answered a unit, on the monotonic clock. */
const lastAnswerMs = new WeakMap<PgPoolLike, number>()

/** Notes a sign of life of the server behind `pool`. */
export function answered(pool: PgPoolLike): void {
  lastAnswerMs.set(pool, systemClock.monotonic())
}

/**
 * A connection of the pool, and what is left of `openMs` for the opening flight.
 *
 * To connect, the server has `openMs`. Queueing for a full pool is not its fault: that goes on up to `acquireMs` as
 * long as the server answers somebody, and ends `openMs` after its last sign of life.
 * @throws STORE_UNAVAILABLE 'overload' for a full pool, 'timeout' or 'refused' for a server that does not let us in.
 */
export async function acquire(
  pool: PgPoolLike,
  { openMs, acquireMs }: { openMs: number; acquireMs: number },
): Promise<{ client: PgClientLike; leftMs: number }> {
  const startMs = systemClock.monotonic()
  const queued = isFull(pool)
  let gaveUp = false
  const connecting = pool.connect()
  // A connection that comes after its caller was told no goes back.
  void connecting.then(
    (client) => gaveUp && client.release(),
    () => {},
  )

  let timer: { cancel(): void } | undefined
  const expired = new Promise<never>((_, reject) => {
    const check = (): void => {
      const deadlineMs = queued
        ? Math.min(startMs + acquireMs, Math.max(startMs, lastAnswerMs.get(pool) ?? 0) + openMs)
        : startMs + openMs
      const leftMs = deadlineMs - systemClock.monotonic()
      if (leftMs > 0) {
        timer = systemClock.timer(check, leftMs)
        return
      }
      gaveUp = true
      const waitedMs = Math.round(systemClock.monotonic() - startMs)
      reject(
        queued
          ? unavailable(STORE, `pool is full: no connection in ${waitedMs} ms`, 'overload')
          : unavailable(STORE, `did not accept a connection in ${waitedMs} ms`, 'timeout'),
      )
    }
    check()
  })
  try {
    const client = await Promise.race([connecting, expired])
    const usedMs = queued ? 0 : systemClock.monotonic() - startMs
    return { client, leftMs: Math.max(1, openMs - usedMs) }
  } catch (error) {
    throw connectError(error, queued)
  } finally {
    timer?.cancel()
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
