import type { Clock } from '@keelson/kernel'

/** How long a step may take. */
export interface Limit {
  readonly limitMs: number
  /** Ends every step at once. */
  readonly cut: AbortSignal
  readonly clock: Clock
}

/** Runs a step, and waits for it no longer than its limit; then its signal aborts. Rejects with what went wrong. */
export async function within(step: (signal: AbortSignal) => unknown, { limitMs, cut, clock }: Limit): Promise<void> {
  const late = new AbortController()
  const over = (): void => late.abort(new DOMException(`it took over ${Math.round(limitMs)} ms`, 'TimeoutError'))
  const timer = clock.timer(over, limitMs, { ref: true })
  const signal = AbortSignal.any([late.signal, cut])
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
  try {
    await Promise.race([(async () => step(signal))(), aborted])
  } finally {
    timer.cancel()
  }
}
