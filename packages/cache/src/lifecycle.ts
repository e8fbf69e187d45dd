import { CacheError } from './error.ts'

/** When a cache runs: starts and stops come one after another, whoever calls them. */
export interface Lifecycle {
  /** Between a start and a stop. */
  readonly running: boolean
  /** @throws CacheError CLOSED */
  checkOpen(): void
  /** Rejects with CLOSED. */
  start(): Promise<void>
  stop(drainMs: number): Promise<void>
  /** Stops, once, without a drain. */
  close(): Promise<void>
}

/** What each of these does, never two at a time. */
export function createLifecycle(o: {
  begin(): Promise<void>
  end(drainMs: number): Promise<void>
  /** Behind the last `end`. */
  release(): Promise<void>
}): Lifecycle {
  let running = false
  let closed = false
  let closing: Promise<void> | undefined
  let turn: Promise<void> = Promise.resolve()

  async function inTurn(work: () => Promise<void>): Promise<void> {
    return (turn = turn.catch(() => {}).then(work))
  }

  function checkOpen(): void {
    if (closed) throw new CacheError('CLOSED', 'this cache was closed')
  }

  async function stop(drainMs: number): Promise<void> {
    return inTurn(async () => {
      running = false
      await o.end(drainMs)
    })
  }

  async function closeNow(): Promise<void> {
    closed = true
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
    stop,
    close: async () => (closing ??= closeNow()),
  }
}
