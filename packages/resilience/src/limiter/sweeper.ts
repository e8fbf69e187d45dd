import type { Clock, Logger } from '@keelson/kernel'
import { createBackgroundLoop, stepUntil, type BackgroundLoop } from '@keelson/kernel/background-loop'

/** Removes expired counters in the background, where the store does not do it itself. */
export interface Sweeper extends BackgroundLoop {
  /** Sweeps until nothing is left or `untilMs` (monotonic). True when nothing is left. Rejects as the store does. */
  once(untilMs: number): Promise<boolean>
}

/** Rows of one delete: short locks, short transactions. */
const BATCH = 1_000
const EVERY_MS = 60_000

/** `sweep` removes at most so many and says how many. */
export function createSweeper(sweep: (count: number) => Promise<number>, clock: Clock, logger: Logger): Sweeper {
  const sweepUntil = (untilMs: number, isWanted: () => boolean): Promise<boolean> =>
    stepUntil(untilMs, async () => !isWanted() || (await sweep(BATCH)) < BATCH, clock)
  const loop = createBackgroundLoop({
    turn: (isWanted) => sweepUntil(clock.monotonic() + EVERY_MS, isWanted),
    // Nodes that start together must not sweep together.
    pauseMs: () => EVERY_MS * (0.5 + Math.random()),
    failed: (error) => logger.warn({ err: error }, 'sweeping expired counters failed'),
    clock,
  })
  return { ...loop, once: (untilMs) => sweepUntil(untilMs, () => true) }
}
