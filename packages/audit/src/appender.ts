import { isKeelsonError, type Clock } from '@keelson/kernel'
import type { Row } from './store.ts'

/** Appends rows of many callers together: what comes while one batch is under way is the next one. */
export interface Appender {
  /** Resolves when the row is durable. */
  append(row: Row): Promise<void>
}

const MIN_ROWS = 16
const FIRST_ROWS = 256
const MAX_ROWS = 5_000
const MAX_BYTES = 8 * 1024 * 1024
const BYTES_PER_ROW = 2_048

interface Waiting {
  readonly row: Row
  resolve(): void
  reject(error: unknown): void
}

/**
 * `timeoutMs` is how long one batch may take: as many rows go together as are done in a fraction of it. Else a burst would
 * look like a store that is away, and do so again with each try.
 */
export function createAppender(
  appendAll: (rows: readonly Row[]) => Promise<void>,
  { timeoutMs, clock }: { readonly timeoutMs: number; readonly clock: Clock },
): Appender {
  let waiting: Waiting[] = []
  let isRunning = false
  let limit = FIRST_ROWS

  function adapt(rows: number, tookMs: number): void {
    if (tookMs > timeoutMs / 4) limit = Math.max(MIN_ROWS, Math.floor(Math.min(limit, rows) / 2))
    else if (rows >= limit && tookMs < timeoutMs / 16) limit = Math.min(MAX_ROWS, limit * 2)
  }

  function takeBatch(): readonly Waiting[] {
    let bytes = 0
    let count = 0
    const maxBytes = Math.min(MAX_BYTES, limit * BYTES_PER_ROW)
    while (count < waiting.length && count < limit) {
      bytes += waiting[count]!.row.bytes.length
      if (bytes > maxBytes && count > 0) break
      count++
    }
    const batch = waiting.slice(0, count)
    waiting = waiting.slice(count)
    return batch
  }

  async function write(batch: readonly Waiting[]): Promise<void> {
    const sinceMs = clock.monotonic()
    try {
      await appendAll(batch.map(({ row }) => row))
      adapt(batch.length, clock.monotonic() - sinceMs)
    } catch (error) {
      if (isKeelsonError(error, 'STORE_UNAVAILABLE')) adapt(batch.length, clock.monotonic() - sinceMs)
      // One entry that is refused must not take the others with it.
      if (batch.length > 1 && isKeelsonError(error, 'ENTRY_INVALID')) {
        for (const one of batch) await write([one])
        return
      }
      for (const { reject } of batch) reject(error)
      return
    }
    for (const { resolve } of batch) resolve()
  }

  async function run(): Promise<void> {
    isRunning = true
    do {
      await tick()
      await write(takeBatch())
    } while (waiting.length > 0)
    isRunning = false
  }

  return {
    append: (row) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ row, resolve, reject })
        if (!isRunning) void run()
      }),
  }
}

/** Those who are told together ask again together: without it the first of them goes alone, and the others wait for two batches. */
function tick(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve)
  })
}
