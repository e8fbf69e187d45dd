import type { Clock, Logger } from '@keelson/kernel'
import type { DropLog } from './store.ts'

/** Rows of the log that were applied: deleted in batches, never in a request's path. */
export interface PaidRows {
  add(ids: readonly string[]): void
  /** Deletes what there is, behind what is being deleted. Never rejects: false of what stays, to be applied once more. */
  flush(): Promise<boolean>
}

const EVERY_MS = 100
const BATCH = 200

export function createPaidRows(done: DropLog['done'], clock: Clock, logger: Logger): PaidRows {
  let ids: string[] = []
  let timer: { cancel(): void } | undefined
  let deleting = Promise.resolve(true)

  function flush(): Promise<boolean> {
    timer?.cancel()
    timer = undefined
    const paid = ids
    ids = []
    if (paid.length > 0) deleting = deleting.then(() => remove(paid))
    return deleting
  }

  async function remove(paid: readonly string[]): Promise<boolean> {
    try {
      await done(paid)
      return true
    } catch (error) {
      logger.warn({ err: error, rows: paid.length }, 'applied cache drops were not deleted')
      return false
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
