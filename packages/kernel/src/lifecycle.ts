import { systemClock } from './clock.ts'

/** When a component runs: starts and stops come one after another, whoever calls them. */
export interface Lifecycle {
  /** Between a start and a stop. */
  readonly running: boolean
  /** @throws what `closed` makes, after a close. */
  checkOpen(): void
  /** Rejects as `checkOpen` throws. */
  start(): Promise<void>
  stop(drainMs: number): Promise<void>
  /** Runs `work` while it is stopped; rejects as `checkOpen` throws, or with `taken()` while it runs. A stop interrupts it. */
  alone<T>(work: () => Promise<T>, taken: () => Error): Promise<T>
  /** Stops, once, without a drain. */
  close(): Promise<void>
}

/** What each of these does, never two at a time. */
export function createLifecycle(o: {
  begin(): Promise<void>
  end(drainMs: number): Promise<void>
  /** A stop waits for its turn: what runs alone must end. */
  interrupt?(drainMs: number): void
  /** Behind the last `end`. */
  release(): Promise<void>
  /** The error of whoever comes after a close. */
  closed(): Error
}): Lifecycle {
  let running = false
  let isClosed = false
  let closing: Promise<void> | undefined
  let turn: Promise<void> = Promise.resolve()

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work)
    turn = mine.then(
      () => {},
      () => {},
    )
    return mine
  }

  function checkOpen(): void {
    if (isClosed) throw o.closed()
  }

  async function stop(drainMs: number): Promise<void> {
    o.interrupt?.(drainMs)
    return inTurn(async () => {
      running = false
      await o.end(drainMs)
    })
  }

  async function closeNow(): Promise<void> {
    isClosed = true
    await stop(0)
    await o.release()
  }

  return {
    get running() {
      return running
    },
    checkOpen,
    async start() {
      checkOpen()
      return inTurn(async () => {
        checkOpen()
        if (running) return
        running = true
        await o.begin()
      })
    },
    async alone(work, taken) {
      checkOpen()
      return inTurn(async () => {
        checkOpen()
        if (running) throw taken()
        return awake(work)
      })
    },
    stop,
    close: async () => (closing ??= closeNow()),
  }
}

/** Timers of the background keep no process alive; here somebody waits for it. */
async function awake<T>(work: () => Promise<T>): Promise<T> {
  const held = systemClock.timer(() => {}, Infinity, { ref: true })
  try {
    return await work()
  } finally {
    held.cancel()
  }
}
