import { isKeelsonError, type Clock } from '@keelson/kernel'
import type { Gaps } from './gaps.ts'
import type { Journal } from './journal.ts'
import type { Row } from './store.ts'

/** Entries that nobody waits for: kept in memory until they are durable, up to a bound. */
export interface Emitter {
  emit(row: Row): void
  /** What waits now, to be asked whether all of it is durable or lost. */
  mark(): () => boolean
  /** Resolves when nothing waits, or nothing more can be done in time; what waits still is lost then. */
  end(drainMs: number): Promise<void>
}

const RETRY_MS = 500
/** On their way at a time: who waits for an entry of his own must not wait for thousands that nobody waits for. */
const AT_ONCE = 256

export function createEmitter(o: {
  readonly journal: Journal
  readonly gaps: Gaps
  readonly max: number
  readonly clock: Clock
}): Emitter {
  const { journal, gaps, max, clock } = o
  const queue = new Set<Row>()
  const onTheirWay = new Set<Row>()
  let untilMs = Infinity
  const ended = new Set<() => void>()

  function sendNext(): void {
    for (const row of queue) {
      if (onTheirWay.size >= AT_ONCE) return
      queue.delete(row)
      onTheirWay.add(row)
      void deliver(row).finally(() => {
        onTheirWay.delete(row)
        if (queue.size > 0) sendNext()
        else if (onTheirWay.size === 0) for (const resolve of ended) resolve()
      })
    }
  }

  async function deliver(row: Row): Promise<void> {
    for (;;) {
      try {
        await journal.append(row)
        return
      } catch (error) {
        if (isKeelsonError(error, 'STORE_FULL')) return
        if (!isKeelsonError(error, 'STORE_UNAVAILABLE') || clock.monotonic() + RETRY_MS >= untilMs) {
          gaps.lost(isKeelsonError(error) ? error.code : 'UNKNOWN', row.id)
          return
        }
      }
      await clock.sleep(RETRY_MS)
    }
  }

  return {
    emit(row) {
      if (queue.size + onTheirWay.size >= max) return gaps.lost('EMIT_OVERLOAD', row.id)
      queue.add(row)
      sendNext()
    },
    mark() {
      const left = [...onTheirWay, ...queue]
      return () => left.every((row) => !onTheirWay.has(row) && !queue.has(row))
    },
    async end(drainMs) {
      untilMs = clock.monotonic() + drainMs
      if (queue.size + onTheirWay.size > 0) await new Promise<void>((resolve) => ended.add(resolve))
      // It may be started again.
      untilMs = Infinity
    },
  }
}
