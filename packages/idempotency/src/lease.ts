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
  return new KeptLease(clock, leaseMs, sentMs, touch)
}

/** A class, as all that is made for each call: an object literal with a getter costs more than the rest of a lease. */
class KeptLease implements Lease {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #touch: (checkpoint?: Uint8Array) => Promise<'ok' | 'lost'>
  #endsMs: number
  #controller: AbortController | undefined
  #lost = false
  #stopped = false
  #nextRenewal: { cancel(): void } | undefined
  #end: { cancel(): void } | undefined

  constructor(
    clock: Clock,
    leaseMs: number,
    sentMs: number,
    touch: (checkpoint?: Uint8Array) => Promise<'ok' | 'lost'>,
  ) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#touch = touch
    this.#endsMs = sentMs + leaseMs
    this.#schedule(Math.max(0, leaseMs / 3 - (clock.monotonic() - sentMs)))
  }

  /** Few works ask for it. */
  get signal(): AbortSignal {
    return this.#aborter.signal
  }

  get alive(): boolean {
    return this.#clock.monotonic() < this.#endsMs
  }

  async renew(checkpoint?: Uint8Array): Promise<void> {
    const askedMs = this.#clock.monotonic()
    const answer = await this.#touch(checkpoint)
    if (answer === 'lost') {
      this.#lost = true
      throw this.#stopped ? leaseLost() : this.#abort()
    }
    this.#endsMs = Math.max(this.#endsMs, askedMs + this.#leaseMs)
  }

  stop(): void {
    this.#stopped = true
    this.#nextRenewal?.cancel()
    this.#end?.cancel()
  }

  get #aborter(): AbortController {
    return (this.#controller ??= new AbortController())
  }

  /** From the first renewal on the lease may end: what does not come in time is not waited for. */
  #watchEnd(): void {
    const leftMs = this.#endsMs - this.#clock.monotonic()
    if (leftMs > 0) this.#end = this.#clock.timer(() => this.#watchEnd(), leftMs)
    else this.#abort()
  }

  /** One error, so that a work which fails with it is known to have failed by this. */
  #abort(): IdempotencyError {
    const { signal } = this.#aborter
    if (!signal.aborted) this.#aborter.abort(leaseLost())
    return signal.reason as IdempotencyError
  }

  #schedule(inMs: number): void {
    if (this.#stopped || this.#lost) return
    this.#nextRenewal = this.#clock.timer(() => {
      if (this.#end === undefined) this.#watchEnd()
      this.renew().then(
        () => this.#schedule(this.#leaseMs / 3),
        () => this.#schedule(this.#leaseMs / RETRIES_PER_LEASE),
      )
    }, inMs)
  }
}

function leaseLost(): IdempotencyError {
  return new IdempotencyError('LEASE_LOST', 'the lease of this run ended; another caller may run it')
}
