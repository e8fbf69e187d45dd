import type { Clock } from '@keelson/kernel'
import { IdempotencyError } from './error.ts'

/** A claim that is renewed while its work runs. */
export interface Lease {
  /** Aborts with LEASE_LOST when the claim is another's, or can be: it was not renewed in time. */
  readonly signal: AbortSignal
  /** It has not ended: nobody else can have claimed the key. */
  readonly alive: boolean
  /** Renews now. Rejects with LEASE_LOST, or with what the store rejects with. */
  renew(checkpoint?: Uint8Array): Promise<void>
  /** Ends the renewing. */
  stop(): void
}

/** After a failed renewal the next one comes sooner. */
const RETRIES_PER_LEASE = 10

/**
 * Renews a claim every third of its lease. `sentMs` is when the claim was asked for: the lease began no earlier.
 * `touch` asks the store.
 */
export function keepLease(
  clock: Clock,
  leaseMs: number,
  sentMs: number,
  touch: (checkpoint?: Uint8Array) => Promise<'ok' | 'lost'>,
): Lease {
  const controller = new AbortController()
  let endsMs = sentMs + leaseMs
  let lost = false
  let stopped = false
  let nextRenewal: { cancel(): void } | undefined
  let end: { cancel(): void } | undefined

  function lapse(): void {
    const leftMs = endsMs - clock.monotonic()
    if (leftMs > 0) end = clock.timer(lapse, leftMs)
    else abort()
  }

  /** One error, so that a work which fails with it is known to have failed by this. */
  function abort(): IdempotencyError {
    if (!controller.signal.aborted) controller.abort(leaseLost())
    return controller.signal.reason as IdempotencyError
  }

  async function renew(checkpoint?: Uint8Array): Promise<void> {
    const askedMs = clock.monotonic()
    const answer = await touch(checkpoint)
    if (answer === 'lost') {
      lost = true
      throw stopped ? leaseLost() : abort()
    }
    endsMs = Math.max(endsMs, askedMs + leaseMs)
  }

  function schedule(inMs: number): void {
    if (stopped || lost) return
    nextRenewal = clock.timer(() => {
      renew().then(
        () => schedule(leaseMs / 3),
        () => schedule(leaseMs / RETRIES_PER_LEASE),
      )
    }, inMs)
  }

  schedule(Math.max(0, leaseMs / 3 - (clock.monotonic() - sentMs)))
  lapse()
  return {
    signal: controller.signal,
    get alive() {
      return clock.monotonic() < endsMs
    },
    renew,
    stop() {
      stopped = true
      nextRenewal?.cancel()
      end?.cancel()
    },
  }
}

function leaseLost(): IdempotencyError {
  return new IdempotencyError('LEASE_LOST', 'the lease of this run ended; another caller may run it')
}
