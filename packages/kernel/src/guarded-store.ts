import type { Clock } from './clock.ts'
import { isKeelsonError, type KeelsonError } from './error.ts'
import type { Logger } from './logger.ts'
import { isBrokenOff, isStoreFailure } from './store-failure.ts'
import { createStoreGuard, type StoreGuard } from './store-guard.ts'

export { isBrokenOff } from './store-failure.ts'

/** A package's store behind its guard; what the store cannot do is said in the package's own error. */
export interface GuardedStore {
  /** For somebody who waits: within the guard's timeout. */
  ask<T>(fn: () => Promise<T>): Promise<T>
  /** For what runs behind: it may take longer, or as long as `limitMs`. `late` gets what came too late. */
  work<T>(fn: () => Promise<T>, o?: { late?: (value: T) => void; limitMs?: number }): Promise<T>
  readonly guard: StoreGuard
}

/** A batch of a busy store takes longer than what one caller waits for. */
const WORK_MS = 5_000

/** `name` is the package's, in metrics and logs (`<name>.store_down`); `away` makes its STORE_UNAVAILABLE. */
export function createGuardedStore(o: {
  readonly name: string
  readonly store: { readonly kind: string; health(): Promise<unknown> }
  readonly timeoutMs: number
  away(message: string, more: { readonly cause: unknown; readonly retryAfter: number }): KeelsonError
  readonly clock: Clock
  readonly logger: Logger
}): GuardedStore {
  const { name, store, timeoutMs, clock, logger } = o
  const guard = createStoreGuard({ name, timeout: timeoutMs, ping: () => store.health(), clock })
  guard.onChange((state) => {
    if (state === 'open') logger.error({ store: store.kind, err: guard.stats().lastError }, `${name}.store_down`)
    else logger.info({ store: store.kind }, `${name}.store_up`)
  })
  const workMs = Math.max(WORK_MS, timeoutMs)

  async function translated<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (cause) {
      if (!isKeelsonError(cause, 'STORE_UNAVAILABLE') && !isStoreFailure(cause) && !isBrokenOff(cause)) throw cause
      const { retryAfter = 1_000, message } = cause as { retryAfter?: number; message: string }
      throw o.away(message, { cause, retryAfter })
    }
  }

  return {
    guard,
    ask: async (fn) => translated(guard.call(fn)),
    work: async (fn, { late, limitMs = workMs } = {}) =>
      translated(guard.call(fn, { timeout: limitMs, ...(late === undefined ? {} : { late }) })),
  }
}
