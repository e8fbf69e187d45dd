import type { Clock, Logger } from '@keelson/kernel'

/** Removes expired counters in the background, where the store does not do it itself. */
export interface Sweeper {
  start(): void
  /** Resolves when nothing is being swept. */
  stop(): Promise<void>
  /** Sweeps until nothing is left or `untilMs` (monotonic). True when nothing is left. Rejects as the store does. */
  once(untilMs: number): Promise<boolean>
}

/** Rows of one delete: short locks, short transactions. */
const BATCH = 1_000
const EVERY_MS = 60_000

/** `sweep` removes at most so many and says how many. */
export function createSweeper(sweep: (count: number) => Promise<number>, clock: Clock, logger: Logger): Sweeper {
  let timer: { cancel(): void } | undefined
  let running: Promise<unknown> = Promise.resolve()
  let started = false

  async function once(untilMs: number): Promise<boolean> {
    while (clock.monotonic() < untilMs) {
      if ((await sweep(BATCH)) < BATCH) return true
    }
    return false
  }

  /** Nodes that start together must not sweep together. */
  function schedule(): void {
    timer = clock.timer(
      () => {
        running = once(clock.monotonic() + EVERY_MS)
          .catch((error: unknown) => logger.warn({ err: error }, 'sweeping expired counters failed'))
          .then(() => {
            if (started) schedule()
          })
      },
      EVERY_MS * (0.5 + Math.random()),
    )
  }

  return {
    start() {
      if (started) return
      started = true
      schedule()
    },
    async stop() {
      started = false
      timer?.cancel()
      await running
    },
    once,
  }
}
