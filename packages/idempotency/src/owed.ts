import type { Clock, Logger } from '@keelson/kernel'

/** What a store must still be told, and is told in the background until it is of no use any more. */
export interface Owed {
  readonly size: number
  /** Repeats `tell` until it resolves or `untilMs` (monotonic) has passed. */
  add(what: string, untilMs: number, tell: () => Promise<unknown>): void
  /** Forgets everything. */
  close(): void
}

/** Over this many a store that is down for long must not fill the memory: leases end by themselves. */
const MAX_OWED = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

export function createOwed(clock: Clock, logger: Logger): Owed {
  const timers = new Map<object, { cancel(): void } | undefined>()

  return {
    get size() {
      return timers.size
    },
    add(what, untilMs, tell) {
      if (timers.size >= MAX_OWED) return logger.error({ what }, 'too much is owed to the idempotency store')
      const debt = {}
      logger.warn({ what }, 'the idempotency store could not be told, and will be')
      const again = (pauseMs: number): void => {
        const leftMs = untilMs - clock.monotonic()
        if (leftMs <= 0) return void timers.delete(debt)
        timers.set(
          debt,
          clock.timer(() => void attempt(pauseMs), Math.min(leftMs, pauseMs * (0.5 + Math.random()))),
        )
      }
      const attempt = async (pauseMs: number): Promise<void> => {
        try {
          await tell()
          timers.delete(debt)
        } catch {
          if (timers.has(debt)) again(Math.min(2 * pauseMs, LONGEST_PAUSE_MS))
        }
      }
      timers.set(debt, undefined)
      again(FIRST_PAUSE_MS)
    },
    close() {
      for (const timer of timers.values()) timer?.cancel()
      timers.clear()
    },
  }
}
