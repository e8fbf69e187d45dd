import type { Clock, Logger } from '@keelson/kernel'

/** What a store must still be told, and is told in the background until it is of no use any more. */
export interface Owed {
  readonly size: number
  /** Repeats `tell` until it resolves or `untilMs` (monotonic) has passed. */
  add(what: string, untilMs: number, tell: () => Promise<unknown>): void
  /** The store is back: everything is told now. */
  flush(): void
  /** Forgets everything. */
  close(): void
}

/** Over this many a store that is down for long must not fill the memory: leases end by themselves. */
const MAX_OWED = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

interface Debt {
  readonly untilMs: number
  readonly tell: () => Promise<unknown>
  pauseMs: number
  /** Undefined while it is being told. */
  timer: { cancel(): void } | undefined
}

export function createOwed(clock: Clock, logger: Logger): Owed {
  const debts = new Set<Debt>()

  function schedule(debt: Debt): void {
    const leftMs = debt.untilMs - clock.monotonic()
    if (leftMs <= 0) return void debts.delete(debt)
    const pauseMs = debt.pauseMs * (0.5 + Math.random())
    debt.timer = clock.timer(() => void attempt(debt), Math.min(leftMs, pauseMs))
    debt.pauseMs = Math.min(2 * debt.pauseMs, LONGEST_PAUSE_MS)
  }

  async function attempt(debt: Debt): Promise<void> {
    debt.timer?.cancel()
    debt.timer = undefined
    try {
      await debt.tell()
      debts.delete(debt)
    } catch {
      if (debts.has(debt)) schedule(debt)
    }
  }

  return {
    get size() {
      return debts.size
    },
    add(what, untilMs, tell) {
      if (debts.size >= MAX_OWED) return logger.error({ what }, 'too much is owed to the idempotency store')
      // One line an outage, not one a call.
      const level = debts.size === 0 ? 'warn' : 'debug'
      logger[level]({ what }, 'the idempotency store could not be told, and will be')
      const debt: Debt = { untilMs, tell, pauseMs: FIRST_PAUSE_MS, timer: undefined }
      debts.add(debt)
      schedule(debt)
    },
    flush() {
      for (const debt of debts) if (debt.timer !== undefined) void attempt(debt)
    },
    close() {
      for (const { timer } of debts) timer?.cancel()
      debts.clear()
    },
  }
}
