import type { Clock } from '@keelson/kernel'

/** Wakes when something becomes due, and at the latest after the poll interval. */
export interface DueTimer {
  /** Nothing can be done now: ask when that changes. */
  look(): void
  stop(): void
}

/** Who is idle often does not ask as often. */
const ASK_MS = 25

export function createDueTimer(o: {
  nextDue(): Promise<number | null>
  wake(): void
  /** Something is due, and was not claimed just now: a lease that is over, or there is no room. */
  overdue(): void
  readonly pollMs: number
  readonly clock: Clock
}): DueTimer {
  const { nextDue, wake, overdue, pollMs, clock } = o
  let asking: { cancel(): void } | undefined
  let waking: { cancel(): void } | undefined
  let turns = 0

  async function ask(): Promise<void> {
    asking = undefined
    const turn = ++turns
    const dueMs = await nextDue().catch(() => null)
    // Stopped, or asked anew meanwhile.
    if (turn !== turns) return
    if (dueMs === 0) overdue()
    waking?.cancel()
    waking = clock.timer(wake, Math.min(dueMs ?? pollMs, pollMs))
  }

  return {
    look() {
      asking ??= clock.timer(() => void ask(), ASK_MS)
    },
    stop() {
      turns++
      asking?.cancel()
      waking?.cancel()
      asking = undefined
      waking = undefined
    },
  }
}
