import { context, type Clock } from '@keelson/kernel'
import { signalOf, type Call } from './call.ts'
import { differs, isSkipped, type Fingerprint } from './fingerprint.ts'
import { refused, type Executed, type Outcome, type Refused } from './outcome.ts'

/** Who leads a key in this process: its outcome is shared with everybody who joined. */
export interface Lead<T> {
  /** The record now carries the leader's fingerprint: callers with another one can be refused. */
  claimed(): void
  /** Ends the lead. Without an outcome to share, exactly one of those who waited leads next. */
  end(outcome?: Outcome<T>): void
}

/** Duplicates of one process: one leads, the others wait for its outcome. */
export interface Flights<T> {
  /** How many wait now. */
  readonly waiting: number
  /**
   * The lead, at once where nobody leads, or what the leader's outcome means to this caller.
   * `untilMs` is an instant on the monotonic clock; `signal` ends the waiting.
   */
  join(
    key: string,
    caller: { fingerprint: Fingerprint | undefined; untilMs: number; signal: Call['signal'] },
  ): { lead: Lead<T> } | Promise<{ lead: Lead<T> } | { outcome: Outcome<T> }>
}

interface Flight<T> {
  readonly fingerprint: Fingerprint | undefined
  /** Of the leader: what its duplicates link to. */
  readonly traceparent: string | undefined
  isClaimed: boolean
  /** Made for the first who waits: most flights have nobody. */
  claimed: PromiseWithResolvers<boolean> | undefined
  ended: PromiseWithResolvers<Outcome<T> | undefined> | undefined
  waiters: number
}

/** What a waiter is told when the leader takes longer than it may wait; ms. */
const RETRY_AFTER_MS = 1_000

export function createFlights<T>(
  clock: Clock,
  limits: { perKey: number; total: number },
  /** A duplicate got the leader's outcome although their fingerprints cannot be compared. */
  skipped: () => void,
): Flights<T> {
  const flights = new Map<string, Flight<T>>()
  let waiting = 0

  function start(key: string, fingerprint: Fingerprint | undefined): Lead<T> {
    const { traceparent } = context.get() ?? {}
    const flight: Flight<T> = {
      fingerprint,
      traceparent,
      isClaimed: false,
      claimed: undefined,
      ended: undefined,
      waiters: 0,
    }
    flights.set(key, flight)
    return {
      claimed() {
        flight.isClaimed = true
        flight.claimed?.resolve(true)
      },
      end(outcome) {
        flights.delete(key)
        flight.claimed?.resolve(outcome?.ok === true)
        flight.ended?.resolve(outcome)
      },
    }
  }

  async function wait<R>(
    flight: Flight<T>,
    promise: Promise<R>,
    leftMs: number,
    signal?: AbortSignal,
  ): Promise<R | Refused> {
    if (flight.waiters >= limits.perKey || waiting >= limits.total) {
      return refused('TOO_MANY_WAITERS', { retryAfter: RETRY_AFTER_MS })
    }
    flight.waiters++
    waiting++
    const inUse = Promise.withResolvers<Refused>()
    const giveUp = (): void => inUse.resolve(refused('KEY_IN_USE', { retryAfter: RETRY_AFTER_MS }))
    const timer = clock.timer(giveUp, leftMs, { ref: true })
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      return await Promise.race([promise, inUse.promise])
    } finally {
      flight.waiters--
      waiting--
      timer.cancel()
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** Until the leader has an outcome to share, or a lead is free. */
  async function follow(
    key: string,
    { fingerprint, untilMs, signal: given }: Parameters<Flights<T>['join']>[1],
  ): Promise<{ lead: Lead<T> } | { outcome: Outcome<T> }> {
    const signal = signalOf(given)
    for (;;) {
      const flight = flights.get(key)
      if (flight === undefined) return { lead: start(key, fingerprint) }
      const isOther = differs(flight.fingerprint, fingerprint)
      if (isOther && flight.isClaimed) return { outcome: refused('KEY_REUSED') }
      const leftMs = untilMs - clock.monotonic()
      if (leftMs <= 0 || signal?.aborted === true) {
        return { outcome: refused('KEY_IN_USE', { retryAfter: RETRY_AFTER_MS }) }
      }
      if (isOther) {
        // The leader itself may be the one with the wrong payload: only a claim tells.
        flight.claimed ??= Promise.withResolvers()
        const claimed = await wait(flight, flight.claimed.promise, leftMs, signal)
        if (claimed === true) return { outcome: refused('KEY_REUSED') }
        if (claimed !== false) return { outcome: claimed }
      } else {
        flight.ended ??= Promise.withResolvers()
        const outcome = await wait(flight, flight.ended.promise, leftMs, signal)
        if (outcome === undefined) continue
        if (!outcome.ok) return { outcome }
        if (isSkipped(flight.fingerprint, fingerprint)) skipped()
        return { outcome: joined(outcome, flight.traceparent) }
      }
    }
  }

  return {
    get waiting() {
      return waiting
    },
    join: (key, caller) => (flights.has(key) ? follow(key, caller) : { lead: start(key, caller.fingerprint) }),
  }
}

function joined<T>(outcome: Executed<T>, traceparent: string | undefined): Executed<T> {
  // Whose leader was a replay itself link to the same run.
  const first = outcome.kind === 'replayed' ? outcome.firstTraceparent : traceparent
  const link = first === undefined ? {} : { firstTraceparent: first }
  return { ...outcome, kind: 'replayed', replayed: true, waited: true, ...link }
}
