import { traced, type Clock } from '@keelson/kernel'
import { inContextOf } from './event-context.ts'
import { handlerAttempt, type Handler, type HandlerResult } from './handlers.ts'
import { httpAttempt, type HttpAttemptOptions } from './http-attempt.ts'
import type { WebhookMetrics } from './metrics.ts'
import { outsideRequests } from './outside-requests.ts'
import type { Sender, SendResult } from './sending/sender.ts'
import { attemptMs, type ReadEndpoint } from './settings.ts'
import { createSettling } from './settling.ts'
import { createSlots, type Slot } from './slots.ts'
import type { AttemptRow, Claim, Settled, Settlement, WebhookStore } from './store.ts'
import { verdictOf } from './verdict.ts'

/** Claims what is due, attempts it and says how it ended. */
export interface Dispatcher {
  readonly slots: { readonly fast: number; readonly slow: number }
  /** Looks for work now, and again as slots come free. */
  pump(): void
  /** Claims until nothing is due, and waits for all of it; begins nothing once `isOver`. */
  drainDue(isOver: () => boolean): Promise<void>
  /** Claims from now on. */
  open(sender: Sender): void
  /** Claims nothing any more, waits for attempts for `drainMs`, and gives the others back. */
  close(drainMs: number): Promise<void>
}

/** What a dispatcher is made of; durations in ms. */
export interface DispatcherParts extends HttpAttemptOptions {
  readonly store: WebhookStore
  /** In time, and not for anybody who waits for an answer. */
  call<T>(fn: () => Promise<T>, o?: { late?: (value: T) => void }): Promise<T>
  readonly owner: string
  readonly handlers: ReadonlyMap<string, Handler>
  readonly readEndpoint: (config: string) => ReadEndpoint
  readonly concurrency: number
  readonly slowAfter: number
  readonly slowConcurrency: number
  readonly settleEvery: number
  readonly leaseMargin: number
  /** What became of claims that were settled. */
  settled(settlement: Settlement, result: Settled, claim: Claim): void
  failed(claim: Claim, attempt: AttemptRow): void
  /** Nothing could be claimed (any more). */
  idle(): void
  readonly random: () => number
  readonly metrics: WebhookMetrics
  readonly clock: Clock
}

interface Flight extends Slot {
  readonly claim: Claim
  readonly handler: Handler | undefined
  readonly leaseEndsMs: number
  /** Of a handler. */
  readonly stop: AbortController | undefined
}

/** A key that is missing is asked for again after this time. */
const NO_KEY_MS = 10_000
/** At most so many deliveries a claim, whatever is free. */
const MAX_CLAIM = 256
/** How long a stop tries to tell how attempts ended. */
const LAST_WORDS_MS = 2_000

export function createDispatcher(o: DispatcherParts): Dispatcher {
  const { store, call, clock, metrics } = o
  const outside = outsideRequests()
  let sender: Sender | undefined
  let claiming: Promise<void> | undefined
  let again = false
  /** Begins nothing once this is true. */
  let isOver = () => false
  /** Attempts so far. */
  let begun = 0
  let waiters: (() => void)[] = []

  const slots = createSlots<Flight>({
    concurrency: o.concurrency,
    slowConcurrency: o.slowConcurrency,
    slowAfterMs: o.slowAfter,
    becameSlow(flights) {
      const tokens = flights.filter(({ handler }) => handler === undefined).map(({ claim }) => claim.token)
      if (tokens.length > 0) void call(() => store.slow(tokens)).catch(() => {})
      pump()
    },
    clock,
  })

  const settling = createSettling({
    everyMs: o.settleEvery,
    settle: (settlements) =>
      traced(
        'webhooks:settle',
        () => ({ settlements: settlements.length }),
        () => call(() => store.settle(settlements)),
      ),
    settled({ settlement, claim }, result) {
      if (result.kind === 'stale') metrics.staleSettles.inc()
      o.settled(settlement, result, claim)
    },
    after: () => pump(),
    clock,
  })

  /** Suspects go to slow slots at once: no more of them than those have room. True when there may be more. */
  async function claimTurn(): Promise<boolean> {
    const room = slots.freeSlow()
    const some = await claim(Math.min(slots.free(), room), true)
    return slots.free() > room ? (await claim(slots.free(), false)) || some : some
  }

  /** True when there may be more. */
  async function claim(most: number, suspects: boolean): Promise<boolean> {
    const limit = Math.min(most, MAX_CLAIM)
    if (limit <= 0 || sender === undefined || isOver()) return false
    const beganMs = clock.monotonic()
    const claimed = await traced(
      'webhooks:claim',
      () => ({ limit }),
      () =>
        call(
          () =>
            store.claim({
              limit,
              owner: o.owner,
              suspects,
              handlers: [...o.handlers.keys()],
            }),
          { late: (late) => giveBack(late) },
        ),
    )
    for (const one of claimed) {
      // The last slow slot may have gone meanwhile to one that grew old.
      const isSlow = one.suspect && one.endpoint !== null
      if (sender === undefined || (isSlow && slots.freeSlow() <= 0)) giveBack([one])
      else begin(one, beganMs, isSlow)
    }
    // One a lane and turn: as long as there is something, the next turn may bring more of the same lanes.
    return claimed.length > 0
  }

  async function claimAll(): Promise<void> {
    try {
      do {
        again = false
        while (await claimTurn());
      } while (again)
      o.idle()
    } catch {
      // The guard has told of it; the next poll looks again.
      o.idle()
    }
  }

  function pump(): void {
    if (sender === undefined) return
    again = true
    claiming ??= outside(claimAll).finally(() => {
      claiming = undefined
      wakeWaiters()
    })
  }

  function begin(claim: Claim, claimedMs: number, slow: boolean): void {
    const { endpoint } = claim.token
    const handler = endpoint.startsWith('fn:') ? o.handlers.get(endpoint.slice(3)) : undefined
    const flight: Flight = {
      claim,
      handler,
      beganMs: clock.monotonic(),
      leaseEndsMs: claimedMs + claim.leaseMs,
      slow,
      freed: false,
      stop: handler === undefined ? undefined : new AbortController(),
    }
    begun++
    slots.take(flight)
    void attempt(flight, sender!).then((settlement) => end(flight, settlement))
  }

  function end(flight: Flight, settlement: Settlement): void {
    if (flight.freed) return
    slots.give(flight)
    settling.add({ settlement, claim: flight.claim, leaseEndsMs: flight.leaseEndsMs })
    // Between two tells, slots that are free in numbers are filled at once.
    if (slots.free() * 2 >= o.concurrency) pump()
    wakeWaiters()
  }

  /** Never rejects. */
  async function attempt(flight: Flight, by: Sender): Promise<Settlement> {
    const { claim, handler, stop } = flight
    const { token } = claim
    try {
      const endpoint = claim.endpoint === null ? undefined : o.readEndpoint(claim.endpoint.config)
      const { settings, rules } = (handler ?? endpoint)!
      const limitMs = attemptMs(settings.timeout, claim.leaseMs, o.leaseMargin)
      // A process that stood still hears late of its claim: what it sends now could meet what goes when the lease is over.
      if (clock.monotonic() + limitMs > flight.leaseEndsMs) return released(token)
      const work = (): Promise<SendResult> =>
        traced(
          'webhooks:attempt',
          () => aboutOf(claim),
          () =>
            handler === undefined
              ? httpAttempt(claim, endpoint!, limitMs, by, o)
              : handlerAttempt(claim, handler, limitMs, stop!.signal, clock).then(handlerResult),
        )
      const { correlationId, traceparent } = claim.event
      const inContext = handler !== undefined || correlationId !== undefined || traceparent !== undefined
      const result = await (inContext ? inContextOf(claim.event, work) : work())
      const { outcome, status, retryAfterMs, durationMs, remoteAddress, error } = result
      const fast = handler !== undefined || durationMs < o.slowAfter
      const retry = { scheduleMs: settings.retry.schedule, jitter: settings.retry.jitter }
      const ended = { outcome, status, retryAfterMs, fast }
      const verdict = verdictOf(ended, retry, claim.spent + 1, o.random())
      const row: AttemptRow = {
        durationMs: Math.round(durationMs),
        outcome,
        status,
        remoteAddress,
        response: result.response === null ? null : textOf(result.response),
        error,
      }
      // One that was given back at a stop is nobody's failure.
      if (!flight.freed) {
        metrics.attempts.inc({ outcome })
        metrics.attemptSeconds.observe(durationMs / 1_000)
        if (outcome === 'refused') metrics.refused.inc({ reason: error ?? 'other' })
        if (outcome !== 'success') o.failed(claim, row)
      }
      return { token, attempt: row, end: verdict.end, signal: verdict.signal, rules }
    } catch (error) {
      // Only the secrets can be missing: nothing was tried, and the lane waits for its key.
      o.failed(claim, unsent(error))
      return { ...released(token), signal: { kind: 'no-key', blockMs: NO_KEY_MS } }
    }
  }

  function giveBack(back: readonly Claim[]): void {
    const leaseEndsMs = clock.monotonic() + LAST_WORDS_MS
    for (const claim of back) settling.add({ settlement: released(claim.token), claim, leaseEndsMs })
  }

  function wakeWaiters(): void {
    const woken = waiters
    waiters = []
    for (const waiter of woken) waiter()
  }

  const isBusy = () => claiming !== undefined || slots.fast + slots.slow > 0

  /** Until no claim is under way and no slot taken. */
  async function quiet(): Promise<void> {
    while (isBusy()) {
      await new Promise<void>((resolve) => waiters.push(resolve))
    }
  }

  return {
    slots,
    pump,
    async drainDue(over) {
      isOver = over
      try {
        let before
        do {
          before = begun
          pump()
          await quiet()
          // What is told makes room for more, which may begin and end meanwhile.
          await settling.flush()
          // What was settled last may have made room for more.
        } while (begun > before)
      } finally {
        isOver = () => false
      }
    },
    open(by) {
      sender = by
    },
    async close(drainMs) {
      sender = undefined
      const drained = quiet()
      if (drainMs > 0) await within(drained, drainMs, clock)
      for (const flight of slots.all()) {
        end(flight, released(flight.claim.token))
        flight.stop?.abort(new Error('stopped'))
      }
      await drained
      // A store that is away keeps nobody: the leases end by themselves.
      await within(settling.flush(), LAST_WORDS_MS, clock)
      settling.forget()
    },
  }
}

function released(token: Settlement['token']): Settlement {
  return { token, attempt: null, end: { kind: 'release', afterMs: 0 }, signal: { kind: 'none' } }
}

function handlerResult(result: HandlerResult): SendResult {
  return { ...result, status: null, remoteAddress: null, response: null }
}

/** What listeners of `keelson:webhooks:attempt` are told. */
function aboutOf({ event, token, attempts }: Claim): object {
  return { event: event.id, type: event.type, delivery: token.delivery, number: attempts + 1 }
}

function unsent(error: unknown): AttemptRow {
  const { code = 'DECRYPT_FAILED' } = error as { code?: string }
  return { durationMs: 0, outcome: 'refused', status: null, remoteAddress: null, response: null, error: code }
}

/** Bytes of a receiver as text that a database takes: what is no UTF-8 is replaced, NUL too. */
function textOf(bytes: Uint8Array): string {
  if (bytes.length === 0) return ''
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString().replaceAll('\0', '\uFFFD')
}

async function within(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<void> {
  let timer: { cancel(): void } | undefined
  await Promise.race([work, new Promise<void>((resolve) => (timer = clock.timer(resolve, limitMs, { ref: true })))])
  timer?.cancel()
}
