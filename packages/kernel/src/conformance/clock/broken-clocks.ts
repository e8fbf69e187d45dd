import { systemClock, type Clock } from '../../clock.ts'
import type { Subject } from '../suite.ts'
import type { ClockSubject } from './clock-suite.ts'

/** Clocks that break one promise each, named by it: what {@link clockSuite} must catch. */
export const brokenClocks: Readonly<Record<string, Subject<ClockSubject>>> = {
  'elapsed time goes back': broken(() => {
    let readings = 0
    return { monotonic: () => performance.now() - (readings++ % 7) }
  }),
  'elapsed time stands still': broken(() => ({ monotonic: () => 1 })),
  'elapsed time in seconds': broken(() => ({ monotonic: () => performance.now() / 1_000 })),
  'the wall clock in seconds': broken(() => ({ now: () => Date.now() / 1_000 })),
  'the wall clock stands still': broken(() => ({ now: () => 1_800_000_000_000 })),
  'a timer fires early': broken(() => ({ timer: (fn, delayMs, o) => systemClock.timer(fn, delayMs / 10, o) })),
  'a timer fires at once': broken(() => ({
    timer(fn) {
      fn()
      return { cancel() {} }
    },
  })),
  'a timer fires again and again': broken(() => ({
    timer(fn, delayMs) {
      const handle = setInterval(fn, Math.max(1, delayMs)).unref()
      return { cancel: () => clearInterval(handle) }
    },
  })),
  'a timer without time never fires': broken(() => ({
    timer: (fn, delayMs, o) => (delayMs > 0 ? systemClock.timer(fn, delayMs, o) : { cancel() {} }),
  })),
  'cancel does nothing': broken(() => ({
    timer(fn, delayMs, o) {
      systemClock.timer(fn, delayMs, o)
      return { cancel() {} }
    },
  })),
  'a cancelled timer cancels its neighbour': broken(() => {
    let last: { cancel(): void } | undefined
    return {
      timer(fn, delayMs, o) {
        const timer = (last = systemClock.timer(fn, delayMs, o))
        return {
          cancel() {
            timer.cancel()
            last?.cancel()
          },
        }
      },
    }
  }),
  'timers fire in the order of their making': broken(() => {
    let before: Promise<void> = Promise.resolve()
    return {
      timer(fn, delayMs) {
        let cancelled = false
        before = before.then(() => systemClock.sleep(delayMs)).then(() => void (cancelled || fn()))
        return { cancel: () => void (cancelled = true) }
      },
    }
  }),
  'a month is too long for a timer': broken(() => ({
    timer(fn, delayMs) {
      const handle = setTimeout(fn, delayMs > 2 ** 31 - 1 ? 1 : delayMs).unref()
      return { cancel: () => clearTimeout(handle) }
    },
  })),
  'sleep does not hear its signal': broken(() => ({ sleep: (delayMs) => systemClock.sleep(delayMs) })),
  'sleep does not look at a signal that was aborted before': broken(() => ({
    sleep: (delayMs, signal) => systemClock.sleep(delayMs, signal?.aborted === true ? undefined : signal),
  })),
  'sleep ends well when it is aborted': broken(() => ({
    sleep: (delayMs, signal) => systemClock.sleep(delayMs, signal).catch(() => {}),
  })),
  'sleep has a reason of its own': broken(() => ({
    sleep: (delayMs, signal) =>
      systemClock.sleep(delayMs, signal).catch(() => {
        throw new Error('aborted')
      }),
  })),
  'sleep does not sleep': broken(() => ({ sleep: async () => {} })),
}

function broken(wrong: () => Partial<Clock>): Subject<ClockSubject> {
  return { make: async () => ({ clock: { ...systemClock, ...wrong() }, async dispose() {} }) }
}
