import type { Clock, Logger } from '@keelson/kernel'
import type { DropLog } from './store.ts'

/** Rows of the log that were applied: deleted in batches, never in a request's path. */
export interface PaidRows {
  add(ids: readonly string[]): void
  /** Deletes what there is. Never rejects: what stays is applied once more. */
  flush(): Promise<void>
}

const EVERY_MS = 100
const BATCH = 200

export function createPaidRows(log: DropLog | undefined, clock: Clock, logger: Logger): PaidRows {
  let ids: string[] = []
  let timer: { cancel(): void } | undefined

  async function flush(): Promise<void> {
    timer?.cancel()
    timer = undefined
    const paid = ids
    ids = []
    if (paid.length === 0) return
    try {
      await log?.done(paid)
    } catch (error) {
      logger.warn({ err: error, rows: paid.length }, 'applied cache drops were not deleted')
    }
  }

  return {
    add(more) {
      if (more.length === 0) return
      ids.push(...more)
      if (ids.length >= BATCH) void flush()
      else timer ??= clock.timer(() => void flush(), EVERY_MS)
    },
    flush,
  }
}
