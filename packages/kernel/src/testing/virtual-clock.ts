import { sleepOn, type Clock } from '../clock.ts'
import { ms, type Duration } from '../duration.ts'

/** A Clock whose time moves only when a test moves it. */
export interface VirtualClock extends Clock {
  /** Moves both clocks on; timers fire by due time, then creation, and promises settle between two of them. */
  advance(by: Duration): Promise<void>
  /** The wall clock jumps by so many ms; elapsed time does not. */
  jumpWall(byMs: number): void
  /** Timers that have not fired. */
  pending(): number
}

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly fn: () => void
}

/** A virtual clock. `now` is its wall clock at the start, in ms; default 2026-01-01. */
export function virtualClock(o: { now?: number } = {}): VirtualClock {
  let elapsedMs = 0
  let wallOffsetMs = o.now ?? Date.UTC(2026, 0, 1)
  let created = 0
  const timers = new Set<Timer>()

  const clock: VirtualClock = {
    now: () => wallOffsetMs + elapsedMs,
    monotonic: () => elapsedMs,
    timer(fn, delayMs) {
      const timer = { dueMs: elapsedMs + Math.max(0, delayMs), order: created++, fn }
      timers.add(timer)
      return { cancel: () => timers.delete(timer) }
    },
    sleep: (delayMs, signal) => sleepOn(clock, delayMs, signal),
    async advance(by) {
      const untilMs = elapsedMs + ms(by, 'by')
      await settled()
      for (let next = earliest(timers, untilMs); next !== undefined; next = earliest(timers, untilMs)) {
        timers.delete(next)
        elapsedMs = next.dueMs
        next.fn()
        await settled()
      }
      elapsedMs = untilMs
    },
    jumpWall(byMs) {
      wallOffsetMs += byMs
    },
    pending: () => timers.size,
  }
  return clock
}

function earliest(timers: ReadonlySet<Timer>, untilMs: number): Timer | undefined {
  let first: Timer | undefined
  for (const timer of timers) {
    if (timer.dueMs > untilMs) continue
    if (
      first === undefined ||
      timer.dueMs < first.dueMs ||
      (timer.dueMs === first.dueMs && timer.order < first.order)
    ) {
      first = timer
    }
  }
  return first
}

/** A macrotask: every promise that can settle without time has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
