/** The time of one connection: it ends by itself or by its owner's signal, whichever is first. */
export interface TimeLeft {
  /** The end, in ms of `performance.now()`. */
  readonly endsMs: number
  readonly signal: AbortSignal
}

/** Why `within` gave up. */
const timeIsUp = (): Error => Object.assign(new Error('time is up'), { code: 'ETIMEDOUT' })

/**
 * Settles as `work` does. When the time, or a `share` of what is left of it, passes first, it rejects with ETIMEDOUT, and
 * `undo` ends what goes on.
 */
export function within<T>(work: Promise<T>, time: TimeLeft, undo: () => void, share = 1): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      stop()
      undo()
      reject(timeIsUp())
    }
    const timer = setTimeout(giveUp, Math.max(0, time.endsMs - performance.now()) * share)
    const stop = (): void => {
      clearTimeout(timer)
      time.signal.removeEventListener('abort', giveUp)
    }
    work.then(resolve, reject).finally(stop)
    if (time.signal.aborted) giveUp()
    else time.signal.addEventListener('abort', giveUp, { once: true })
  })
}
