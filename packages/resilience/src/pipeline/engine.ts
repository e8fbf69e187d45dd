import { channel, tracingChannel } from 'node:diagnostics_channel'
import { context, ms, traced, type Clock } from '@keelson/kernel'
import { optionFailure, ResilienceError } from '../error.ts'
import type { Attempt } from './attempt.ts'
import type { BreakerReason, BreakerState } from './breaker.ts'
import type { Call, CallOptions, Work } from './call.ts'
import { FallingBack } from './falling-back.ts'
import { invalidOption } from './invalid-option.ts'
import type { Failure, FailureKind, Outcome, Suppressed } from './outcome.ts'
import { SignalHub } from './parent-signals.ts'
import { HeldPermit, type Permit } from './permit.ts'
import { refusalError, sharedRefusal, type RefusalKind } from './refusals.ts'
import { Run } from './run.ts'
import type { Settings } from './settings.ts'
import { Timeouts } from './timeouts.ts'
import { ADMITTED, OPEN, QUEUE, RATE, SHED, THROTTLED, Upstream, type Forced } from './upstream.ts'
import { CLASSES, verdictOfError, type Verdict } from './verdict.ts'
import type { Waiter } from './waiters.ts'

const CALL = tracingChannel('keelson:resilience:call')
const STATE = channel('keelson:resilience:state')
const CLOSED = 6
const KINDS: Readonly<Record<number, RefusalKind>> = {
  // Who may not wait is shed.
  [QUEUE]: 'shed',
  [OPEN]: 'open',
  [SHED]: 'shed',
  [THROTTLED]: 'throttled',
  [RATE]: 'rate',
  [CLOSED]: 'closed',
}

/** What only Keelson's own pipelines set. */
export interface Internals {
  /** A value that nobody is given: a late one, or that of an attempt that is made again. */
  readonly discard?: (value: any) => void
  /** True: the place is held until `release` is called. */
  readonly keeps?: (value: any, release: () => void) => boolean
}

interface SharedRefusal {
  readonly generation: number
  readonly refusal: Promise<Failure>
}

/** The parts of `new Promise` of the call that begins: an executor for each would be a function for each. */
let resolveIt: (value: any) => void
let rejectIt: (error: unknown) => void
const executor = (resolve: (value: any) => void, reject: (error: unknown) => void): void => {
  resolveIt = resolve
  rejectIt = reject
}

/** All policies of a pipeline in one: what surrounds the calls, and is asked by them. */
export class Engine {
  readonly settings: Settings
  readonly clock: Clock
  readonly upstream: Upstream
  readonly timeouts: Timeouts
  /** Around each attempt. */
  readonly chaos: ((work: Work<unknown>, call: Call) => unknown) | undefined
  /** Retries, hedges and fallbacks may begin in a timer's context, which is anybody's. */
  readonly mayBeginOutside: boolean
  readonly outcomes: Record<FailureKind | 'ok' | 'fallback', number> = {
    ok: 0,
    fallback: 0,
    open: 0,
    shed: 0,
    throttled: 0,
    rate: 0,
    timeout: 0,
    deadline: 0,
    aborted: 0,
    failed: 0,
    closed: 0,
  }
  readonly suppressions: Record<Suppressed, number> = { budget: 0, deadline: 0, open: 0, shed: 0, layer: 0 }
  attempts = 0
  inFlight = 0
  abandonments = 0
  isClosed = false
  readonly #internals: Internals
  #firstLive: Run | undefined
  /** Of each cell: the refusal that all share while its breaker is in one state. */
  readonly #open: (SharedRefusal | undefined)[] = []
  readonly #refusals: Partial<Record<RefusalKind, SharedRefusal>> = {}
  /** Cells in which a place may be free. */
  readonly #freed = new Set<number>()
  readonly #fallingBack = new Set<FallingBack>()
  #isServing = false

  constructor(settings: Settings, internals: Internals = {}) {
    this.settings = settings
    this.clock = settings.clock
    this.#internals = internals
    this.timeouts = new Timeouts(settings.clock)
    this.chaos = settings.chaos?.wrap((work: Work<unknown>, call: Call) => {
      // Behind a latency the attempt may be over: its work would run beside the next one, or for nobody.
      call.signal.throwIfAborted()
      return work(call)
    })
    this.upstream = new Upstream(settings, (cell, from, to, reason) => this.#changed(cell, from, to, reason))
    const { attemptMs, attempts, hedges, fallback } = settings
    this.mayBeginOutside = hedges > 0 || fallback !== undefined || (attemptMs !== Infinity && attempts > 1)
  }

  /** `run` and `try`. */
  call(work: Work<unknown>, options: CallOptions | undefined, answersOutcome: boolean): Promise<any> {
    if (!CALL.hasSubscribers) return this.#call(work, options, answersOutcome)
    const message: { pipeline: string; outcome?: string; ms?: number; attempts?: number } = {
      pipeline: this.settings.name,
    }
    const startedMs = this.clock.monotonic()
    return traced(
      'resilience:call',
      () => message,
      async () => {
        const outcome = (await this.#call(work, options, true)) as Outcome<unknown>
        message.ms = this.clock.monotonic() - startedMs
        message.attempts = outcome.attempts
        message.outcome = outcome.ok ? (outcome.fallback ? 'fallback' : 'ok') : outcome.kind
        if (answersOutcome) return outcome
        if (outcome.ok) return outcome.value
        throw outcome.error
      },
    )
  }

  #call(work: Work<unknown>, o: CallOptions | undefined, answersOutcome: boolean): Promise<any> {
    const invalid =
      typeof work === 'function' ? (o === undefined ? undefined : invalidOption(o)) : 'the work must be a function'
    if (invalid !== undefined) return this.#invalid(invalid, answersOutcome)
    const { settings, upstream } = this
    const nowMs = this.clock.monotonic()
    const signal = o?.signal
    if (this.isClosed) return this.#refused('closed', 0, answersOutcome, nowMs, signal)
    if (signal?.aborted === true) return this.#atOnce('aborted', signal.reason, answersOutcome, signal)
    const cell = o?.key === undefined ? 0 : upstream.cells.of(o.key, nowMs)
    // In an outage this is all that a call costs.
    if (upstream.isOpen(cell, nowMs)) return this.#refusedByBreaker(cell, answersOutcome, nowMs, signal)
    let endsMs = nowMs + settings.deadlineMs
    if (o?.deadline !== undefined) endsMs = Math.min(endsMs, nowMs + ms(o.deadline))
    const outer = context.get()
    let isCutShort = false
    let isRetried = false
    if (outer !== undefined) {
      if (outer.deadline !== undefined && outer.deadline < endsMs) {
        endsMs = outer.deadline
        isCutShort = true
      }
      isRetried = (outer.retryAttempt ?? 0) > 0
    }
    if (endsMs <= nowMs) {
      return this.#atOnce(
        'deadline',
        new ResilienceError('DEADLINE_EXCEEDED', `pipeline "${settings.name}": no time is left`),
        answersOutcome,
        signal,
      )
    }
    const entry = upstream.enter(cell, nowMs)
    if (entry > QUEUE) return this.#refused(KINDS[entry]!, cell, answersOutcome, nowMs, signal)
    if (upstream.budget !== undefined) upstream.budget.call(cell, nowMs)
    const promise = new Promise(executor)
    const run = new Run(this, work, answersOutcome, cell, o, nowMs, endsMs, isCutShort, isRetried)
    run.resolve = resolveIt
    run.reject = rejectIt
    this.#join(run)
    if (entry === ADMITTED) run.start(nowMs)
    else run.queue(nowMs)
    return promise
  }

  admit(o: CallOptions | undefined): Permit {
    const { settings, upstream } = this
    const invalid = o === undefined ? undefined : invalidOption(o)
    if (invalid !== undefined) throw new ResilienceError('INPUT_INVALID', `pipeline "${settings.name}": ${invalid}`)
    const nowMs = this.clock.monotonic()
    const cell = this.isClosed ? 0 : upstream.cells.of(o?.key, nowMs)
    const entry = this.isClosed ? CLOSED : upstream.enter(cell, nowMs)
    if (entry === ADMITTED) return new HeldPermit(this, cell)
    const kind = KINDS[entry]!
    this.outcomes[kind]++
    throw refusalError(settings.name, kind, this.#retryAfterMs(kind, cell, nowMs))
  }

  /** For operators. Without a key for all of them. */
  force(to: Forced, key: string | undefined): void {
    const { settings, upstream } = this
    if (settings.breaker === undefined) throw optionFailure(`force: pipeline "${settings.name}" has no "breaker"`)
    const invalid = key === undefined ? undefined : invalidOption({ key })
    if (invalid !== undefined) throw new ResilienceError('INPUT_INVALID', `pipeline "${settings.name}": ${invalid}`)
    const cell = key === undefined ? undefined : upstream.cells.of(key, this.clock.monotonic())
    upstream.force(to, cell)
    for (const each of cell === undefined ? upstream.cells.all() : [cell]) {
      if (upstream.forced(each) === 'open') this.#refuseWaiters(each)
    }
  }

  /** Waits in line, or is shed for one who waits already. */
  enqueue(run: Run, nowMs: number): void {
    const { limits, waiters, latencies } = this.upstream
    const medianMs = latencies.medianMs()
    const waitMs = ((waiters!.ahead(run.cell, run.priority) + 1) * medianMs) / limits!.limit(run.cell)
    // Who cannot be served in time is told now.
    const shed = nowMs + waitMs + medianMs >= run.endsMs ? run : waiters!.add(run.cell, run)
    if (shed !== undefined) shed.refuse('shed', nowMs)
  }

  releasePlace(cell: number): void {
    const { limits, waiters } = this.upstream
    limits!.giveBack(cell)
    if (waiters !== undefined && waiters.sizeOf(cell) > 0) this.#serve(cell)
  }

  #serve(cell: number): void {
    this.#freed.add(cell)
    // One that ends at once gives its place back in here: the loop goes on, not the stack.
    if (this.#isServing) return
    this.#isServing = true
    try {
      for (const freed of this.#freed) {
        this.#freed.delete(freed)
        this.#serveLine(freed)
      }
    } finally {
      this.#isServing = false
    }
  }

  #serveLine(cell: number): void {
    const { limits, waiters, latencies } = this.upstream
    while (!limits!.isFull(cell)) {
      // The one before may have computed for long.
      const nowMs = this.clock.monotonic()
      const waiter = waiters!.next(cell, nowMs)
      if (waiter === undefined) return
      waiters!.remove(cell, waiter)
      this.#admit(waiter as Waiter & Run, nowMs, latencies.medianMs())
    }
  }

  #admit(run: Run, nowMs: number, medianMs: number): void {
    if (nowMs + medianMs >= run.endsMs) return run.refuse('shed', nowMs)
    if (this.upstream.enterWithPlace(run.cell, nowMs) === ADMITTED) run.startInScope(nowMs)
    else run.refuse('open', nowMs)
  }

  judgeValue(value: unknown): Verdict {
    const judge = this.settings.judgeValue
    return judge === undefined ? 'ok' : (this.#checked(judge(value), 'value') ?? 'ok')
  }

  judgeError(error: unknown): Verdict {
    const judge = this.settings.judgeError
    return (judge === undefined ? undefined : this.#checked(judge(error), 'error')) ?? verdictOfError(error)
  }

  #checked(verdict: Verdict | undefined, member: string): Verdict | undefined {
    if (verdict === undefined) return undefined
    const name: unknown = typeof verdict === 'object' && verdict !== null ? verdict.class : verdict
    if (CLASSES.includes(name as never)) return verdict
    throw new ResilienceError(
      'INPUT_INVALID',
      `pipeline "${this.settings.name}": "classify.${member}" must answer ${CLASSES.map((each) => `'${each}'`).join(', ')} (got ${String(name)})`,
    )
  }

  discard(value: unknown): void {
    this.#internals.discard?.(value)
  }

  /** A value that the caller is given may hold the place on. */
  keepPlace(holder: Attempt, value: unknown): void {
    const { keeps } = this.#internals
    if (keeps === undefined) return
    holder.isKept = keeps(value, () => {
      if (holder.isKept) this.inFlight--
      holder.isKept = false
      holder.releasePlace(this)
    })
    if (holder.isKept) this.inFlight++
  }

  begun(): void {
    this.attempts++
    this.inFlight++
  }

  ended(): void {
    this.inFlight--
  }

  abandoned(works: number): void {
    this.inFlight -= works
    this.abandonments += works
  }

  count(outcome: FailureKind | 'ok'): void {
    this.outcomes[outcome]++
  }

  suppressed(why: Suppressed): void {
    this.suppressions[why]++
  }

  answer(
    to: { readonly answersOutcome: boolean; readonly resolve: unknown; readonly reject: unknown },
    failure: Failure,
  ): void {
    if (to.answersOutcome) (to.resolve as (outcome: Failure) => void)(failure)
    else (to.reject as (error: unknown) => void)(failure.error)
  }

  /** The fallback answers for a failure; its own error comes with the first as its cause. */
  fallBack(failure: Failure, answersOutcome: boolean, hub: SignalHub | undefined): Promise<any> {
    return new Promise((resolve, reject) => {
      const asked = new FallingBack(this.settings.name, failure, (outcome) => {
        this.#fallingBack.delete(asked)
        if (outcome.ok) this.outcomes.fallback++
        if (answersOutcome) resolve(outcome)
        else if (outcome.ok) resolve(outcome.value)
        else reject(outcome.error)
      })
      this.#fallingBack.add(asked)
      hub?.add(asked)
      void asked.begin(this.settings.fallback!)
    })
  }

  #join(run: Run): void {
    run.liveAfter = this.#firstLive
    if (this.#firstLive !== undefined) this.#firstLive.liveBefore = run
    this.#firstLive = run
    if (run.cell !== 0) this.upstream.cells.busy[run.cell]!++
  }

  /** A call has ended. */
  left(run: Run): void {
    const { liveBefore, liveAfter } = run
    if (liveBefore === undefined) this.#firstLive = liveAfter
    else liveBefore.liveAfter = liveAfter
    if (liveAfter !== undefined) liveAfter.liveBefore = liveBefore
    run.liveBefore = run.liveAfter = undefined
    if (run.cell !== 0) this.upstream.cells.busy[run.cell]!--
  }

  close(): void {
    this.isClosed = true
    for (const asked of this.#fallingBack) asked.close()
    for (let run = this.#firstLive; run !== undefined; run = this.#firstLive) run.close()
    this.timeouts.close()
  }

  /** Before anything began. */
  #refused(
    kind: RefusalKind,
    cell: number,
    answersOutcome: boolean,
    nowMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    this.outcomes[kind]++
    if (answersOutcome && this.settings.fallback === undefined) return this.#sharedRefusal(kind, cell)
    const retryAfter = this.#retryAfterMs(kind, cell, nowMs)
    return this.#atOnceUncounted(
      kind,
      refusalError(this.settings.name, kind, retryAfter),
      answersOutcome,
      retryAfter,
      signal,
    )
  }

  #refusedByBreaker(
    cell: number,
    answersOutcome: boolean,
    nowMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const shared = this.#open[cell]
    if (!answersOutcome || shared?.generation !== this.upstream.breakers!.generation[cell]) {
      return this.#refused('open', cell, answersOutcome, nowMs, signal)
    }
    this.outcomes.open++
    return shared!.refusal
  }

  #sharedRefusal(kind: RefusalKind, cell: number): Promise<Failure> {
    const generation = kind === 'open' ? this.upstream.breakers!.generation[cell]! : 0
    const shared = kind === 'open' ? this.#open[cell] : this.#refusals[kind]
    if (shared?.generation === generation) return shared.refusal
    const refusal = sharedRefusal(this.settings.name, kind, () =>
      this.#retryAfterMs(kind, cell, this.clock.monotonic()),
    )
    if (kind === 'open') this.#open[cell] = { generation, refusal }
    else this.#refusals[kind] = { generation, refusal }
    return refusal
  }

  #retryAfterMs(kind: RefusalKind, cell: number, nowMs: number): number | undefined {
    if (kind === 'open') return this.upstream.breakers?.retryAfterMs(cell, nowMs)
    return kind === 'rate' ? this.upstream.rate!.retryAfterMs(nowMs) : undefined
  }

  #atOnce(
    kind: 'aborted' | 'deadline',
    error: unknown,
    answersOutcome: boolean,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    this.outcomes[kind]++
    return this.#atOnceUncounted(kind, error, answersOutcome, undefined, signal)
  }

  #atOnceUncounted(
    kind: FailureKind,
    error: unknown,
    answersOutcome: boolean,
    retryAfter: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const failure: Failure = {
      ok: false,
      kind,
      error,
      ...(retryAfter === undefined ? {} : { retryAfter }),
      attempts: 0,
    }
    if (this.settings.fallback !== undefined && kind !== 'aborted') {
      return this.fallBack(failure, answersOutcome, signal === undefined ? undefined : SignalHub.of(signal))
    }
    return answersOutcome ? Promise.resolve(failure) : Promise.reject(error)
  }

  #invalid(what: string, answersOutcome: boolean): Promise<unknown> {
    const error = new ResilienceError('INPUT_INVALID', `pipeline "${this.settings.name}": ${what}`)
    return answersOutcome ? Promise.resolve({ ok: false, kind: 'failed', error, attempts: 0 }) : Promise.reject(error)
  }

  #changed(cell: number, from: BreakerState, to: BreakerState, reason: BreakerReason): void {
    const key = this.upstream.cells.keyOf(cell)
    const told = { pipeline: this.settings.name, ...(key === undefined ? {} : { key }), from, to, reason }
    if (STATE.hasSubscribers) STATE.publish(told)
    this.settings.logger[to === 'open' ? 'warn' : 'info'](told, `breaker of "${this.settings.name}" is ${to}`)
    if (to === 'open' && this.upstream.forced(cell) === null) this.#refuseWaiters(cell)
  }

  /** Who waits for a place would be refused when it is his turn. */
  #refuseWaiters(cell: number): void {
    const { waiters } = this.upstream
    if (waiters === undefined) return
    const nowMs = this.clock.monotonic()
    for (let waiter = waiters.next(cell, nowMs); waiter !== undefined; waiter = waiters.next(cell, nowMs)) {
      ;(waiter as Waiter & Run).refuse('open', nowMs)
    }
  }
}
