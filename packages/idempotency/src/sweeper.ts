import type { Clock, Logger } from '@keelson/kernel'
import { createBackgroundLoop, stepUntil, type BackgroundLoop } from '@keelson/kernel/background-loop'

/** Removes expired records in the background, where the store does not do it itself. */
export interface Sweeper extends BackgroundLoop {
  /** Sweeps until nothing is left or `untilMs` (monotonic). True when nothing is left. Rejects as the store does. */
  once(untilMs: number): Promise<boolean>
}

/** Rows of one delete: short locks, short transactions. */
const BATCH = 1_000
const EVERY_MS = 60_000

export function createSweeper(
  sweep: (limit: number) => Promise<number>,
  swept: (count: number) => void,
  clock: Clock,
  logger: Logger,
): Sweeper {
  async function sweepUntil(untilMs: number, isWanted: () => boolean): Promise<boolean> {
    return stepUntil(
      untilMs,
      async () => {
        if (!isWanted()) return true
        const count = await sweep(BATCH)
        swept(count)
        return count < BATCH
      },
      clock,
    )
  }

  const loop = createBackgroundLoop({
    turn: (isWanted) => sweepUntil(clock.monotonic() + EVERY_MS, isWanted),
    // Nodes that start together must not sweep together.
    pauseMs: () => EVERY_MS * (0.5 + Math.random()),
    failed: (error) => logger.warn({ err: error }, 'sweeping expired idempotency records failed'),
    clock,
  })
  return { ...loop, once: (untilMs) => sweepUntil(untilMs, () => true) }
}
