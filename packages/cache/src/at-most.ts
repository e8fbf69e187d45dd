import type { Clock } from '@keelson/kernel'

/** Waits for it at most that long. Rejects as it does. */
export async function atMost(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<void> {
  const over = new AbortController()
  await Promise.race([work, clock.sleep(limitMs, over.signal)]).finally(() => over.abort())
}
