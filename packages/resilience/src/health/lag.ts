import type { Clock } from '@keelson/kernel'

/**
 * Ms that the event loop needs for a turn. A loop that stands still answers nobody, so its probe times out; one that
 * crawls shows it here, without a timer of ours in between.
 */
export function loopLag(clock: Clock): Promise<number> {
  const sinceMs = clock.monotonic()
  return new Promise((resolve) => {
    clock.timer(() => resolve(clock.monotonic() - sinceMs), 0, { ref: true })
  })
}
