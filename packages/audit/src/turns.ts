import type { Clock } from '@keelson/kernel'

/** Work in turns, one after another, never two at once; each says when the next one is due, and any caller may hurry it. */
export interface Turns {
  start(): void
  /** The next turn comes now, or right behind the one that runs. */
  wake(): void
  /** Begins no turn any more; resolves when none runs. It may be started again. */
  stop(): Promise<void>
}

/** `turn` answers the ms until the next one. */
export function createTurns(o: {
  turn(): Promise<number>
  /** A turn that failed, and the ms until the next one. */
  failed(error: unknown): number
  readonly clock: Clock
}): Turns {
  let timer: { cancel(): void } | undefined
  let running: Promise<void> | undefined
  let started = false
  let again = false

  async function run(): Promise<void> {
    timer?.cancel()
    again = false
    const waitMs = await o.turn().catch(o.failed)
    running = undefined
    if (!started) return
    if (again) begin()
    else timer = o.clock.timer(begin, waitMs)
  }

  function begin(): void {
    running = run()
  }

  return {
    start() {
      if (started) return
      started = true
      if (running === undefined) begin()
    },
    wake() {
      if (!started) return
      if (running === undefined) begin()
      else again = true
    },
    async stop() {
      started = false
      timer?.cancel()
      await running
    },
  }
}
