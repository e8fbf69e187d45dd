import { systemClock, type Clock } from './clock.ts'
import { context } from './context.ts'
import type { Duration } from './duration.ts'
import { isKeelsonError } from './error.ts'
import { KernelError } from './kernel-error.ts'
import { storeCalls, storeOpen, type StoreOutcome } from './kernel-metrics.ts'
import { type Logger } from './logger.ts'
import { checkOptions, opt } from './options.ts'
import { isStoreFailure as defaultStoreFailure } from './store-failure.ts'
import { createTimeLimits } from './time-limits.ts'
import { traced } from './traced.ts'

/** What `createStoreGuard` takes. */
export interface StoreGuardOptions {
  /** Named in errors and logs. */
  readonly name: string
  /** How long one call may take; default 250 ms. */
  readonly timeout?: Duration
  /** Time between two probes of a store that is down; default 500 ms, at most 1 s. */
  readonly probeEvery?: Duration
  /** Asks the store whether it lives. Without it one caller at a time is the probe. */
  readonly ping?: (signal: AbortSignal) => Promise<unknown>
  /** Unanswered calls over which new ones are refused; default 1000. */
  readonly maxPending?: number
  readonly isStoreFailure?: (error: unknown) => boolean
  readonly clock?: Clock
  readonly logger?: Logger
}

/** Closed: calls pass. Open: the store is down, calls are refused at once. */
export type StoreGuardState = 'closed' | 'open'

/** What stands in front of every store: a deadline for each call, and an answer at once while the store is down. */
export interface StoreGuard {
  /**
   * Runs `fn` under the guard. `timeout` replaces the guard's own; `late` receives a result that came after the caller
   * was told no, to give a claim or a connection back. The signal aborts when the time is over; it is made for an `fn`
   * that declares it.
   * @throws KernelError STORE_UNAVAILABLE with `details.reason` 'timeout', 'open' or 'overload'; else what `fn` threw.
   */
  call<T>(fn: (signal: AbortSignal) => Promise<T>, o?: { timeout?: Duration; late?: (value: T) => void }): Promise<T>
  readonly state: StoreGuardState
  /** Calls `fn` on each change; the answer ends that. */
  onChange(fn: (state: StoreGuardState) => void): () => void
  stats(): {
    state: StoreGuardState
    pending: number
    failures: number
    timeouts: number
    rejected: number
    /** Wall clock, ms. */
    openedAt?: number
    lastError?: string
  }
  /** Ends the pinging. While the store is down, one caller at a time is then the probe. */
  close(): void
}

/** One call, or one ping. */
interface Attempt<T> {
  readonly limitMs: number
  readonly late: ((value: T) => void) | undefined
  /** The limit is the caller's own deadline: that it ran out says nothing of the store. */
  readonly ownDeadline: boolean
  readonly ended: Ended
}

/** Told once, when the caller has its answer. */
type Ended = (outcome: StoreOutcome) => void

const SPEC = {
  name: opt.required(opt.string()),
  timeout: opt.duration('250ms', { min: 1 }),
  probeEvery: opt.duration('500ms', { min: 1, max: '1s' }),
  ping: opt.fn<(signal: AbortSignal) => Promise<unknown>>(),
  maxPending: opt.integer(1000, { min: 1 }),
  isStoreFailure: opt.fn<(error: unknown) => boolean>(defaultStoreFailure),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}

/** The least `retryAfter` of a refusal, so that callers do not spin. */
const LEAST_RETRY_MS = 100

/**
 * A guard that opens when a call times out or meets a store failure, unless another call succeeded since that call
 * began. Open, it refuses at once and probes, one probe at a time; the first success closes it.
 */
export function createStoreGuard(options: StoreGuardOptions): StoreGuard {
  const checked = checkOptions('createStoreGuard', options, SPEC)
  const { name, timeout, probeEvery, maxPending, isStoreFailure, clock, logger } = checked
  // Bound here: a probe has neither the deadline nor the context of the caller whose failure opened the guard.
  const ping = checked.ping === undefined ? undefined : context.bind(checked.ping)
  let state: StoreGuardState = 'closed'
  let closed = false
  let pending = 0
  let successes = 0
  let nextProbeMs = 0
  let probing = false
  let probeTimer: { cancel(): void } | undefined
  const counts = { failures: 0, timeouts: 0, rejected: 0 }
  let openedAt: number | undefined
  let lastError: string | undefined
  const listeners = new Set<(state: StoreGuardState) => void>()
  const limits = createTimeLimits(clock, timeout)
  storeOpen.add(0, { store: name })

  function change(to: StoreGuardState): void {
    if (state === to) return
    state = to
    openedAt = to === 'open' ? clock.now() : undefined
    if (!closed) storeOpen.add(to === 'open' ? 1 : -1, { store: name })
    if (to === 'open') logger.warn({ store: name, lastError }, 'store guard opened')
    else logger.info({ store: name }, 'store guard closed')
    for (const listener of listeners) attempt('onChange', () => listener(to))
  }

  /** Another's code may throw; the guard goes on. */
  function attempt(what: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      logger.warn({ store: name, err: error }, `${what} of a store guard failed`)
    }
  }

  function succeeded(): void {
    successes++
    if (state === 'closed') return
    probeTimer?.cancel()
    change('closed')
  }

  function failed(error: unknown, successesAtStart: number): void {
    counts.failures++
    lastError = error instanceof Error ? error.message : String(error)
    if (state === 'open' || successes > successesAtStart) return
    change('open')
    scheduleProbe()
  }

  function scheduleProbe(): void {
    nextProbeMs = clock.monotonic() + probeEvery
    // A probe on its way schedules the next one when it ends.
    if (ping === undefined || closed || probing) return
    probeTimer = clock.timer(() => void probe(ping), probeEvery)
  }

  async function probe(ask: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    probing = true
    const once = { limitMs: timeout, late: undefined, ownDeadline: false, ended() {} }
    await limited((signal) => ask(signal), once).catch(() => {})
    probing = false
    if (state === 'open') scheduleProbe()
  }

  function refuse(reason: 'open' | 'overload', retryAfter: number, ended: Ended): KernelError {
    counts.rejected++
    ended('rejected')
    const why = reason === 'open' ? `is down (${lastError})` : `has ${pending} unanswered calls`
    return unavailable(name, why, reason, retryAfter)
  }

  /** One call with its deadline; success and failure are noted. */
  function limited<T>(
    fn: (signal: AbortSignal) => Promise<T>,
    { limitMs, late, ownDeadline, ended }: Attempt<T>,
  ): Promise<T> {
    const successesAtStart = successes
    // It costs more than the rest of a call.
    const controller = fn.length === 0 ? undefined : new AbortController()
    let told = false
    pending++
    const answer = call(fn, controller?.signal as AbortSignal)
    return new Promise<T>((resolve, reject) => {
      const reached = (): void => {
        // From here on an answer is late: `fn` may answer as soon as it hears of the abort.
        told = true
        counts.timeouts++
        ended('timeout')
        const error = unavailable(name, `did not answer in ${Math.round(limitMs)} ms`, 'timeout', LEAST_RETRY_MS)
        if (!ownDeadline) failed(error, successesAtStart)
        controller?.abort(error)
        reject(error)
      }
      const limit = limitMs === timeout ? limits.begin(reached) : clock.timer(reached, limitMs, { ref: true })
      answer.then(
        (value) => {
          pending--
          succeeded()
          if (told) return late === undefined ? undefined : attempt('late', () => late(value))
          limit.cancel()
          ended('ok')
          resolve(value)
        },
        (error: unknown) => {
          pending--
          if (told) return
          limit.cancel()
          const isFailure = isStoreFailure(error)
          ended(isFailure ? 'failed' : 'error')
          if (isFailure) failed(error, successesAtStart)
          // A driver's other error is the store's own answer, so it lives; an error of ours says nothing of it.
          else if (!isKeelsonError(error)) succeeded()
          reject(error)
        },
      )
    })
  }

  /** Throws its refusals: {@link traced} makes rejections of them. */
  function guarded<T>(
    fn: (signal: AbortSignal) => Promise<T>,
    o: { timeout?: Duration; late?: (value: T) => void },
    ended: Ended,
  ): Promise<T> {
    const own = timeoutOf(o) ?? timeout
    const leftMs = context.remaining(clock)
    const run = (): Promise<T> =>
      limited(fn, { limitMs: Math.min(own, leftMs), late: o.late, ownDeadline: leftMs < own, ended })
    if (state === 'closed') {
      if (pending >= maxPending) throw refuse('overload', LEAST_RETRY_MS, ended)
      return run()
    }
    const waitMs = nextProbeMs - clock.monotonic()
    // Nobody pings after close(): then callers probe, as without a ping.
    const mayProbe = (ping === undefined || closed) && !probing && waitMs <= 0
    if (!mayProbe) throw refuse('open', Math.max(LEAST_RETRY_MS, waitMs), ended)
    probing = true
    nextProbeMs = clock.monotonic() + probeEvery
    return run().finally(() => (probing = false))
  }

  return {
    get state() {
      return state
    },
    call(fn, o = {}) {
      let message: { readonly store: string; outcome?: StoreOutcome } | undefined
      const ended: Ended = (outcome) => {
        storeCalls.inc({ store: name, outcome })
        if (message !== undefined) message.outcome = outcome
      }
      return traced(
        'kernel:store',
        () => (message = { store: name }),
        () => guarded(fn, o, ended),
      )
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stats: () => ({
      state,
      pending,
      ...counts,
      ...(openedAt === undefined ? {} : { openedAt }),
      ...(lastError === undefined ? {} : { lastError }),
    }),
    close() {
      if (!closed && state === 'open') storeOpen.add(-1, { store: name })
      closed = true
      probeTimer?.cancel()
    },
  }
}

const CALL_SPEC = { timeout: opt.duration(undefined, { min: 1 }), late: opt.fn() }

/** In ms. Numbers, as our own stores give them, are read on the spot. */
function timeoutOf(o: { timeout?: Duration; late?: unknown }): number | undefined {
  const { timeout } = o
  if (timeout === undefined || (typeof timeout === 'number' && timeout >= 1 && timeout < Infinity)) return timeout
  return checkOptions('call', o, CALL_SPEC).timeout
}

/** `fn` may throw before its promise exists. */
function call<T>(fn: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return Promise.resolve(fn(signal))
  } catch (error) {
    return Promise.reject(error)
  }
}

/** The one way in which a store is said to be away. */
export function unavailable(
  store: string,
  why: string,
  reason: 'timeout' | 'refused' | 'open' | 'overload',
  retryAfter?: number,
  cause?: unknown,
): KernelError {
  return new KernelError('STORE_UNAVAILABLE', `${store} ${why}`, {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    cause,
    details: { reason },
  })
}
