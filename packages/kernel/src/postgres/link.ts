import { systemClock } from '../clock.ts'
import { cannotWrite, isStoreFailure } from '../store-failure.ts'
import { unavailable } from '../store-guard.ts'
import type { PgClientLike } from './driver.ts'
import { sqlState } from './sql-state.ts'

/** What is known of a connection while a unit holds it. */
export interface Link {
  /** Why nothing more can be had from this connection. */
  readonly lost: Error | undefined
  /** Says so. */
  lose(error: Error): void
  /** `promise`, or a rejection as soon as the connection is lost. */
  orLost<T>(promise: Promise<T>): Promise<T>
  /** An answer of the server: without it in time, or with a store failure instead, the connection is lost. */
  answer<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T>
  /** Gives the connection back to its pool; a lost one is destroyed, so that no slot stays taken. */
  release(): void
}

/** How a server ends a session: idle in a transaction, transaction too long, database dropped, session idle. */
const ENDS_SESSION = ['25P03', '25P04', '57P04', '57P05']
/** What pg says when its own `query_timeout` is over: the statement may still run. */
const READ_TIMEOUT = 'Query read timeout'

/** True when `error` says that nothing more can be had from its connection. */
export function isLoss(error: unknown): boolean {
  if (cannotWrite(error)) return false
  if (isStoreFailure(error) || ENDS_SESSION.includes(sqlState(error) ?? '')) return true
  return (error as Error | undefined)?.message === READ_TIMEOUT
}

/** Watches a connection that was just taken from its pool. */
export function watchLink(client: PgClientLike): Link {
  let lost: Error | undefined
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => {})

  const lose = (error: Error): void => {
    lost ??= error
    fail(lost)
  }
  // pg emits 'error' on a client whose backend has gone; without a listener the process would end.
  client.on('error', lose)

  return {
    get lost() {
      return lost
    },
    lose,
    orLost: (promise) => Promise.race([promise, failed]),
    async answer(promise, limitMs, what) {
      const timer = systemClock.timer(
        () => lose(unavailable('Postgres', `did not answer ${what} in ${Math.round(limitMs)} ms`, 'timeout')),
        limitMs,
      )
      try {
        return await Promise.race([promise, failed])
      } catch (error) {
        if ((error as Error | null)?.message === READ_TIMEOUT) {
          const why = `did not answer ${what} within query_timeout`
          const tooLate = unavailable('Postgres', why, 'timeout', undefined, error)
          lose(tooLate)
          throw tooLate
        }
        // The statement may hear of the end before the client does.
        if (isLoss(error)) lose(error as Error)
        throw error
      } finally {
        timer.cancel()
      }
    },
    release() {
      if (lost !== undefined) {
        // The listener stays: a connection may fail once more while it closes.
        client.release(true)
        return
      }
      client.removeListener('error', lose)
      client.release()
    },
  }
}
