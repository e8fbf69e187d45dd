import type { Clock } from '@keelson/kernel'
import type { Exchange } from './exchange.ts'

/** Calls `f` once, `delayMs` after the client has left; never after `cancel`. */
export function afterLeaving(
  x: Pick<Exchange, 'onEnd'>,
  clock: Pick<Clock, 'timer'>,
  delayMs: number,
  f: () => void,
): { cancel(): void } {
  let isCancelled = false
  let timer: { cancel(): void } | undefined
  x.onEnd(({ aborted }) => {
    if (aborted && !isCancelled) timer = clock.timer(f, delayMs)
  })
  return {
    cancel() {
      isCancelled = true
      timer?.cancel()
    },
  }
}
