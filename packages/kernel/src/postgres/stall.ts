import { systemClock } from '../clock.ts'
import { unavailable } from '../store-guard.ts'
import type { OpenTx } from './open-tx.ts'

/**
 * Rejects once a statement, or the work between two statements, has taken longer than `stallMs`: a transaction that
 * stands still holds its locks and its connection. Call `cancel` when the work has ended.
 */
export function stallLimit(open: OpenTx, stallMs: number): { readonly stalled: Promise<never>; cancel(): void } {
  let timer: { cancel(): void } | undefined
  const stalled = new Promise<never>((_, reject) => {
    const check = (): void => {
      const leftMs = open.lastActiveMs + stallMs - systemClock.monotonic()
      if (leftMs > 0) {
        timer = systemClock.timer(check, leftMs, { ref: true })
        return
      }
      const who = open.pending > 0 ? 'a statement' : 'the work between two statements'
      reject(unavailable('database', `gave the transaction up: ${who} took over ${Math.round(stallMs)} ms`, 'timeout'))
    }
    check()
  })
  stalled.catch(() => {})
  return { stalled, cancel: () => timer?.cancel() }
}
