import type { Clock } from '@keelson/kernel'
import type { VirtualClock } from '@keelson/kernel/testing'

/** A process that can stand still, in a world whose time goes on. */
export interface Process {
  /** Its own clock: timers that are due while it stands still fire afterwards. */
  readonly clock: Clock
  /** What comes from outside: at once, or when the process goes on. */
  receive(what: () => void): void
  /** A promise of the outside, as the process gets to see it. */
  seen<T>(promise: Promise<T>): Promise<T>
  /** Stands still for so many ms. */
  freeze(forMs: number): void
}

export function createProcess(world: VirtualClock): Process {
  let frozen = 0
  const due: { timers: (() => void)[]; received: (() => void)[] } = { timers: [], received: [] }

  const when =
    (kind: keyof typeof due) =>
    (what: () => void): void => {
      if (frozen > 0) due[kind].push(what)
      else what()
    }
  const [fire, receive] = [when('timers'), when('received')]

  /** As Node does: first the timers, then what lies in the sockets; promises settle between two of them. */
  function thaw(): void {
    if (--frozen > 0) return
    for (const what of [...due.timers.splice(0), ...due.received.splice(0)]) world.timer(what, 0)
  }

  const clock: Clock = {
    now: world.now,
    monotonic: world.monotonic,
    timer(fn, delayMs) {
      let cancelled = false
      const timer = world.timer(() => fire(() => void (cancelled || fn())), delayMs)
      return {
        cancel() {
          cancelled = true
          timer.cancel()
        },
      }
    },
    sleep: (delayMs) => new Promise((resolve) => void clock.timer(resolve, delayMs)),
  }
  return {
    clock,
    receive,
    seen: (promise) =>
      new Promise((resolve, reject) => {
        promise.then(
          (value) => receive(() => resolve(value)),
          (error: Error) => receive(() => reject(error)),
        )
      }),
    freeze(forMs) {
      frozen++
      world.timer(thaw, forMs)
    },
  }
}
