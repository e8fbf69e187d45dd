import type { Clock } from '@keelson/kernel'
import { signalOf, type Call } from './call.ts'
import type { GuardedStore } from './guarded-store.ts'
import type { RefDigest } from './ref.ts'
import type { Begin, Claim, IdempotencyStore } from './store.ts'

/** Where nobody wakes us, the first look again, and the longest pause between two. */
const FIRST_POLL_MS = 20
const LONGEST_POLL_MS = 250

/** Claims refs for `run()`: a held one is waited for. */
export interface RunClaims {
  /**
   * Claims `ref`; while it is busy, waits for its end until `untilMs` (monotonic) or `signal`, and begins again.
   * Rejects when the store cannot serve. `late` gets a claim that was won after that.
   */
  claim(
    ref: RefDigest,
    claim: Claim,
    o: { untilMs: number; signal: Call['signal']; late(begin: Begin): void },
  ): Promise<{ begin: Begin; sentMs: number; waited: boolean }>
}

export function createRunClaims(guarded: GuardedStore, store: IdempotencyStore, clock: Clock): RunClaims {
  /** Until a message says that the ref has ended, at most `limitMs`. */
  async function pause(ref: RefDigest, limitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const enough = new AbortController()
    const timer = clock.timer(() => enough.abort(), limitMs, { ref: true })
    const giveUp = (): void => enough.abort()
    signal?.addEventListener('abort', giveUp, { once: true })
    if (signal?.aborted === true) giveUp()
    const over = new Promise<void>((resolve) => {
      enough.signal.addEventListener('abort', () => resolve(), { once: true })
      if (enough.signal.aborted) resolve()
    })
    try {
      // The message is only a hint: one that cannot be had is like one that does not come.
      const woken = store.wait?.(ref, enough.signal).catch(() => over)
      await Promise.race(woken === undefined ? [over] : [over, woken])
    } finally {
      timer.cancel()
      enough.abort()
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** With messages only against a lost one; without them sooner, and later each time. */
  function pollMs(leaseMs: number, looks: number): number {
    const jitter = 0.75 + Math.random() / 2
    if (store.wait !== undefined) return (leaseMs / 4) * jitter
    return Math.min(FIRST_POLL_MS * 2 ** looks, LONGEST_POLL_MS) * jitter
  }

  return {
    async claim(ref, claim, { untilMs, signal, late }) {
      let waiting: AbortSignal | undefined
      for (let looks = 0; ; looks++) {
        const sentMs = clock.monotonic()
        const begin = await guarded.begin(ref, claim, late)
        const leftMs = untilMs - clock.monotonic()
        if (begin.kind === 'busy' && leftMs > 0) waiting ??= signalOf(signal)
        if (begin.kind !== 'busy' || leftMs <= 0 || waiting?.aborted === true) {
          return { begin, sentMs, waited: looks > 0 }
        }
        // The store's lease ends within its own rounding of a millisecond.
        await pause(ref, Math.min(leftMs, begin.leaseLeftMs + 1, pollMs(claim.leaseMs, looks)), waiting)
      }
    },
  }
}
