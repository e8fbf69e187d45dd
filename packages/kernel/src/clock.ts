/** Time as Keelson reads it: injectable, and with elapsed time apart from the wall clock. */
export interface Clock {
  /** Wall clock in ms since 1970, for display. It may jump: nothing is decided by it. */
  now(): number
  /** Ms with fractions that never go back; all elapsed time uses it. */
  monotonic(): number
  /**
   * Calls `fn` once after `delayMs`. It does not keep the process alive unless `ref`, which the timer's own `ref` changes
   * where there is one. Any delay is allowed.
   */
  timer(fn: () => void, delayMs: number, o?: { ref?: boolean }): { cancel(): void; ref?(keepsAlive: boolean): void }
  /** Resolves after `delayMs` and keeps the process alive: somebody waits. Rejects with the signal's reason. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
}

/** Node fires a longer timer at once, so longer delays are chained. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A timer that comes later than this was held up. */
const LATE_MS = 5

/** Browsers have no such phase. */
const inNode = typeof setImmediate === 'function'

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer(fn, delayMs, o = {}) {
    // Node warns of less than no time.
    let leftMs = Math.max(0, delayMs)
    let keepsAlive = o.ref === true
    let step: NodeJS.Timeout
    let late: NodeJS.Immediate | undefined
    const arm = (): void => {
      const stepMs = Math.min(leftMs, LONGEST_TIMER_MS)
      leftMs -= stepMs
      step = setTimeout(leftMs > 0 ? arm : over, stepMs)
      // Browsers number their timers and have nothing to unref.
      if (!keepsAlive && typeof step === 'object') step.unref()
    }
    const endsMs = performance.now() + leftMs
    // A process that was kept from running finds its timers over and the answers unread: those are heard first. Always
    // ref: an immediate that is not waits for whatever wakes the process next.
    const over = (): void => {
      if (inNode && performance.now() > endsMs + LATE_MS) late = setImmediate(fn)
      else fn()
    }
    arm()
    return {
      cancel() {
        clearTimeout(step)
        if (late !== undefined) clearImmediate(late)
      },
      ref(on) {
        keepsAlive = on
        if (typeof step !== 'object') return
        if (on) step.ref()
        else step.unref()
      },
    }
  },
  sleep: (delayMs, signal) => sleepOn(systemClock, delayMs, signal),
}

/** `sleep` in terms of `timer`, for every clock. */
export function sleepOn(clock: Pick<Clock, 'timer'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason as Error)
    }
    const timer = clock.timer(
      () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
      delayMs,
      { ref: true },
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
