import type { Clock } from '@keelson/kernel'
import { isKeelsonError } from '@keelson/kernel'
import type { Claim, Settled, Settlement } from './store.ts'

/** The end of a claim, with the instant (monotonic) until which it makes sense to tell it. */
interface Ending {
  readonly claim: Claim
  readonly settlement: Settlement
  readonly leaseEndsMs: number
}

/** Ends of attempts on their way to the store, in few calls. */
export interface Settling {
  add(ending: Ending): void
  /** Sends what waits; resolves when all is told or its leases have ended. */
  flush(): Promise<void>
  /** What is not told by now is not told any more: its leases end by themselves. */
  forget(): void
}

const MAX_BATCH = 256
const RETRY_MS = 200

export function createSettling(o: {
  readonly everyMs: number
  settle(settlements: readonly Settlement[]): Promise<readonly Settled[]>
  settled(ending: Ending, result: Settled): void
  /** A call has ended, well or not. */
  after(): void
  readonly clock: Clock
}): Settling {
  const { everyMs, settle, settled, after, clock } = o
  let queue: Ending[] = []
  let batch: Ending[] = []
  let most = MAX_BATCH
  let timer: { cancel(): void } | undefined
  let running: Promise<void> | undefined

  /** One batch; what failed waits for a later one while its lease lives. */
  async function send(): Promise<boolean> {
    const sent = (batch = queue.splice(0, most))
    try {
      const results = await settle(sent.map(({ settlement }) => settlement))
      most = Math.min(most * 2, MAX_BATCH)
      for (const [i, ending] of sent.entries()) settled(ending, results[i]!)
      return true
    } catch (error) {
      // One that the store does not take must not take the others with it.
      if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) most = Math.max(1, sent.length >> 1)
      const nowMs = clock.monotonic()
      queue.push(...batch.filter(({ leaseEndsMs }) => leaseEndsMs > nowMs))
      return false
    } finally {
      batch = []
      after()
    }
  }

  async function sendAll(): Promise<void> {
    while (queue.length > 0) if (!(await send())) await clock.sleep(RETRY_MS)
  }

  async function turn(): Promise<void> {
    timer?.cancel()
    timer = undefined
    running ??= sendAll().finally(() => {
      running = undefined
    })
    return running
  }

  return {
    add(ending) {
      queue.push(ending)
      if (timer === undefined && running === undefined) timer = clock.timer(() => void turn(), everyMs)
    },
    async flush() {
      while (queue.length > 0 || running !== undefined) await turn()
    },
    forget() {
      queue = []
      batch = []
    },
  }
}
