import { context, type Clock, type Logger } from '@keelson/kernel'
import { SyncError } from './error.ts'

/** Devices that wait for something new. */
export interface Waiters {
  readonly count: number
  /**
   * Before a pull that may come back empty: what is committed behind that pull is noticed.
   * @throws SyncError LIMIT_REACHED
   */
  register(scopes: readonly string[]): Promise<Ticket>
  /** Somebody says that these have changed. */
  wake(scopes: readonly string[]): void
  /** Nobody waits any longer, nor from now on. */
  drain(): void
  /** The same, and nothing is asked any more. */
  close(): void
}

/** A place among those that wait. */
interface Ticket {
  /** Resolves at the first change since the registration, when the time is over, or with the signal. */
  wait(waitMs: number, signal: AbortSignal | undefined): Promise<void>
  leave(): void
}

interface Waiter {
  readonly scopes: ReadonlySet<string>
  hasNews: boolean
  wakeUp: (() => void) | undefined
}

/** How often the store is asked while anybody waits. */
const INTERVAL_MS = 250

/** One question to the store for all, however many wait; no connection is held meanwhile. */
export function createWaiters(o: {
  readonly changed: (
    since: string | null,
    scopes: readonly string[],
  ) => Promise<{ scopes: readonly string[]; token: string }>
  readonly max: number
  readonly clock: Clock
  readonly logger: Logger
}): Waiters {
  const { changed, max, clock, logger } = o
  const waiters = new Set<Waiter>()
  /** Up to where changes were asked for; undefined while nobody asks. */
  let token: string | undefined
  let asking: Promise<void> | undefined
  let timer: { cancel(): void } | undefined
  /** Came while a question was under way, which was not about their scopes: the next one begins where that one did. */
  let late = false
  let isDraining = false

  function notice(scopes: readonly string[]): void {
    for (const waiter of waiters) {
      if (!scopes.some((scope) => waiter.scopes.has(scope))) continue
      waiter.hasNews = true
      waiter.wakeUp?.()
    }
  }

  async function ask(): Promise<void> {
    late = false
    const since = token ?? null
    const scopes = since === null ? [] : [...new Set([...waiters].flatMap((waiter) => [...waiter.scopes]))]
    // For all that wait: the deadline of one of them must not end it.
    const answer = await context.resume({}, () => changed(since, scopes))
    if (!late || since === null) token = answer.token
    notice(answer.scopes)
  }

  function again(): void {
    timer = clock.timer(() => {
      if (waiters.size === 0) return end()
      asking = ask()
        .catch((error: unknown) => logger.debug({ err: error }, 'sync: who waits is not told'))
        .finally(() => {
          asking = undefined
          if (timer !== undefined) again()
        })
    }, INTERVAL_MS)
  }

  function drain(): void {
    isDraining = true
    for (const waiter of waiters) waiter.wakeUp?.()
  }

  function end(): void {
    timer?.cancel()
    timer = undefined
    token = undefined
  }

  return {
    get count() {
      return waiters.size
    },
    async register(scopes) {
      if (waiters.size >= max) {
        throw new SyncError('LIMIT_REACHED', `pull: ${max} wait already in this process`, { retryAfter: 1_000 })
      }
      const waiter: Waiter = { scopes: new Set(scopes), hasNews: false, wakeUp: undefined }
      waiters.add(waiter)
      late = true
      if (token === undefined) {
        asking ??= ask().finally(() => (asking = undefined))
        try {
          await asking
        } catch (error) {
          waiters.delete(waiter)
          throw error
        }
        if (timer === undefined) again()
      }
      return {
        async wait(waitMs, signal) {
          if (waiter.hasNews || isDraining || signal?.aborted) return
          const { promise, resolve } = Promise.withResolvers<void>()
          const wakeUp = (waiter.wakeUp = (): void => resolve())
          const limit = clock.timer(wakeUp, waitMs, { ref: true })
          signal?.addEventListener('abort', wakeUp, { once: true })
          await promise
          limit.cancel()
          // It may be that of a whole process.
          signal?.removeEventListener('abort', wakeUp)
          waiter.wakeUp = undefined
        },
        leave: () => void waiters.delete(waiter),
      }
    },
    wake: notice,
    drain,
    close() {
      drain()
      waiters.clear()
      end()
    },
  }
}
