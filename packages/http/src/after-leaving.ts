import type { Clock } from '@keelson/kernel'

/** Calls `f` once, `delayMs` after the client has left; never after `cancel`. */
export function afterLeaving(
  left: AbortSignal,
  clock: Pick<Clock, 'timer'>,
  delayMs: number,
  f: () => void,
): { cancel(): void } {
  let timer: { cancel(): void } | undefined
  const onLeave = (): void => void (timer = clock.timer(f, delayMs))
  if (left.aborted) onLeave()
  else left.addEventListener('abort', onLeave, { once: true })
  return {
    cancel() {
      left.removeEventListener('abort', onLeave)
      timer?.cancel()
    },
  }
}
