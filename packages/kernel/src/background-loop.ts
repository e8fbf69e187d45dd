import type { Clock } from './clock.ts'

/** Work that comes round in the background: a turn, a pause, the next turn. Its timer keeps no process alive. */
export interface BackgroundLoop {
  /** The first turn comes after a pause. Once is enough. */
  start(): void
  /** Begins no turn any more; resolves when none runs. It may be started again. */
  stop(): Promise<void>
}

/** All are required. */
export interface BackgroundLoopOptions {
  /** One after another, never two at once. A stop waits for it: a long one ends early when it is not wanted any more. */
  turn(isWanted: () => boolean): Promise<unknown>
  /** Until the next turn, ms, asked for each: nodes that start together must not work together. */
  pauseMs(): number
  /** A turn that failed; the next one comes all the same. */
  failed(error: unknown): void
  readonly clock: Clock
}

/** A loop that stands still until it is started. */
export function createBackgroundLoop({ turn, pauseMs, failed, clock }: BackgroundLoopOptions): BackgroundLoop {
  let timer: { cancel(): void } | undefined
  let running: Promise<unknown> = Promise.resolve()
  let started = false

  function schedule(): void {
    // A turn that hung over a stop that did not wait, and a start, ends some day.
    timer?.cancel()
    timer = clock.timer(() => {
      running = turn(() => started)
        .catch(failed)
        .then(() => {
          if (started) schedule()
        })
    }, pauseMs())
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
  }
}

/**
 * Steps until one answers true, which says that nothing is left; begins none at or after `untilMs` of the monotonic
 * clock. False when time was over first. Rejects as a step does.
 */
export async function stepUntil(
  untilMs: number,
  step: () => Promise<boolean>,
  clock: Pick<Clock, 'monotonic'>,
): Promise<boolean> {
  while (clock.monotonic() < untilMs) if (await step()) return true
  return false
}
