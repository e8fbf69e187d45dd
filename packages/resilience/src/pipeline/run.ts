import { AsyncResource } from 'node:async_hooks'
import { context } from '@keelson/kernel'
import { ResilienceError } from '../error.ts'
import { Attempt } from './attempt.ts'
import { delayMs } from './backoff.ts'
import type { CallOptions, Work } from './call.ts'
import type { Engine } from './engine.ts'
import { caused } from './falling-back.ts'
import { giveUpOn, wasGivenUp } from './layers.ts'
import type { Failure, FailureKind, Suppressed } from './outcome.ts'
import { SignalHub, type Child } from './parent-signals.ts'
import { refusalError, type RefusalKind } from './refusals.ts'
import { Sleeper } from './timeouts.ts'
import { ADMITTED, OPEN, QUEUE } from './upstream.ts'
import type { Class, Verdict } from './verdict.ts'
import type { Priority, Waiter } from './waiters.ts'

const QUEUED = 0
const RUNNING = 1
const BACKING_OFF = 2
const DONE = 3

/**
 * One call from its admission to its end. It is its own node in every list that it is in: of those that wait for a time,
 * for a place and for a signal. Whatever it waits for, it has one time: the nearest.
 */
export class Run extends Sleeper implements Child, Waiter {
  readonly engine: Engine
  readonly work: Work<unknown>
  /** Of `try`; `run` answers the value or rejects. */
  readonly answersOutcome: boolean
  readonly cell: number
  readonly key: string | undefined
  readonly priority: Priority
  readonly isIdempotent: boolean
  /** It is never begun again. */
  readonly isOnce: boolean
  readonly joinedMs: number
  readonly endsMs: number
  /** The end is the context's, so it may be nearer than any call can come. */
  readonly isCutShort: boolean
  /** The context says that this is somebody's retry already. */
  readonly isRetried: boolean
  resolve: ((value: unknown) => void) | undefined = undefined
  reject: ((error: unknown) => void) | undefined = undefined
  /** How often the work was begun. */
  works = 0
  #tries = 0
  #state = QUEUED
  #attempt: Attempt | undefined = undefined
  /** Those beside it, and when the next of them is due. */
  #hedges: { readonly begun: Attempt[]; nextMs: number } | undefined = undefined
  /** The caller's async context, where something may have to begin outside of it. */
  #scope: AsyncResource | undefined = undefined
  /** What the last attempt came to: no kind is a value. */
  #kind: FailureKind | undefined = undefined
  #result: unknown = undefined
  #verdict: Class = 'ok'
  #retryAfterMs = 0
  hub: SignalHub | undefined = undefined
  hubBefore: Child | undefined = undefined
  hubAfter: Child | undefined = undefined
  inLine = false
  lineBefore: Waiter | undefined = undefined
  lineAfter: Waiter | undefined = undefined
  liveBefore: Run | undefined = undefined
  liveAfter: Run | undefined = undefined

  constructor(
    engine: Engine,
    work: Work<unknown>,
    answersOutcome: boolean,
    cell: number,
    options: CallOptions | undefined,
    nowMs: number,
    endsMs: number,
    isCutShort: boolean,
    isRetried: boolean,
  ) {
    super()
    this.engine = engine
    this.work = work
    this.answersOutcome = answersOutcome
    this.cell = cell
    this.key = options?.key
    this.priority = options?.priority ?? 1
    this.isIdempotent = options?.idempotent === true
    this.isOnce = options?.idempotent === false
    this.joinedMs = nowMs
    this.endsMs = endsMs
    this.isCutShort = isCutShort
    this.isRetried = isRetried
    if (options?.signal !== undefined) SignalHub.of(options.signal).add(this)
    if (engine.mayBeginOutside) this.#keepScope()
  }

  /** The admission is made: the work begins, in the context of now. */
  start(nowMs: number): void {
    const { settings } = this.engine
    this.#discardValue()
    this.#state = RUNNING
    this.#tries++
    this.#retryAfterMs = 0
    this.#attempt = new Attempt(this, nowMs, undefined)
    this.#hedges =
      this.isIdempotent && settings.hedges > 0 ? { begun: [], nextMs: nowMs + settings.hedgeMs } : undefined
    this.#sleep(nowMs)
    this.#attempt.begin()
  }

  /** The same, out of a timer's or another call's context. */
  startInScope(nowMs: number): void {
    this.#inScope(this.#tries, () => this.start(nowMs))
  }

  #inScope(retryAttempt: number, begin: () => void): void {
    this.#scope!.runInAsyncScope(() => {
      if (retryAttempt === 0) begin()
      else context.run({ retryAttempt }, begin)
    })
  }

  /** All places are taken. */
  queue(nowMs: number): void {
    this.#keepScope()
    this.#state = QUEUED
    this.engine.timeouts.begin(this, this.endsMs, nowMs)
    this.engine.enqueue(this, nowMs)
  }

  /** It has waited for nothing. */
  refuse(kind: RefusalKind, nowMs: number): void {
    this.#leave()
    if (this.#tries > 0) return this.#end(kind === 'open' ? 'open' : 'shed')
    const { upstream, settings } = this.engine
    const retryAfterMs = kind === 'open' ? upstream.breakers?.retryAfterMs(this.cell, nowMs) : undefined
    this.#fail(kind, refusalError(settings.name, kind, retryAfterMs), undefined, retryAfterMs)
  }

  wake(nowMs: number): void {
    if (nowMs >= this.endsMs) return this.#deadlinePassed(nowMs)
    if (this.#state === BACKING_OFF) return this.#tryAgain(nowMs)
    if (this.#hedges !== undefined && nowMs >= this.#hedges.nextMs) this.#hedge(nowMs)
    for (const attempt of this.#running()) {
      if (nowMs >= attempt.endsMs && this.#state === RUNNING) this.#timedOut(attempt, nowMs)
    }
    if (this.#state === RUNNING) this.#sleep(nowMs)
  }

  abort(reason: unknown): void {
    this.#cancel('aborted', reason)
  }

  close(): void {
    this.#cancel('closed', refusalError(this.engine.settings.name, 'closed', undefined))
  }

  /** The work of an attempt has really ended. */
  settled(attempt: Attempt, result: unknown, isError: boolean): void {
    const { engine } = this
    const nowMs = engine.clock.monotonic()
    attempt.end(engine)
    if (attempt.isOver) return this.#drop(attempt, result, isError)
    attempt.isOver = true
    let verdict: Verdict
    try {
      verdict = isError ? engine.judgeError(result) : engine.judgeValue(result)
    } catch (failure) {
      // A judge that fails has said nothing of the upstream.
      verdict = 'ignore'
      result = isError ? caused(failure, result) : failure
      isError = true
    }
    // The judge may have ended the call.
    if (this.#state === DONE) return this.#drop(attempt, result, isError)
    this.#discardValue()
    this.#result = result
    this.#kind = isError ? 'failed' : undefined
    if (typeof verdict === 'string') {
      this.#verdict = verdict
      this.#retryAfterMs = 0
    } else {
      this.#verdict = verdict.class
      this.#retryAfterMs = timeMs(verdict.retryAfter)
    }
    this.#ended(attempt, false, nowMs)
    // Only what the caller is given keeps the place: another attempt needs one itself.
    if (!isError && this.#state === DONE) engine.keepPlace(attempt.holder, result)
    attempt.holder.releasePlace(engine)
  }

  /** Nobody is given it. */
  #drop(attempt: Attempt, result: unknown, isError: boolean): void {
    if (!isError) this.engine.discard(result)
    attempt.holder.releasePlace(this.engine)
  }

  #timedOut(attempt: Attempt, nowMs: number): void {
    const { settings } = this.engine
    this.#discardValue()
    this.#kind = 'timeout'
    this.#verdict = 'retry'
    this.#retryAfterMs = 0
    this.#result = new ResilienceError(
      'ATTEMPT_TIMEOUT',
      `pipeline "${settings.name}": no answer within ${settings.attemptMs} ms`,
    )
    attempt.giveUp(this.#result)
    // Who was told may have ended the call.
    if (this.#state === RUNNING) this.#ended(attempt, true, nowMs)
  }

  /** An attempt has come to `#verdict`. */
  #ended(attempt: Attempt, isTimeout: boolean, nowMs: number): void {
    const verdict = this.#verdict
    const isOk = verdict === 'ok' || verdict === 'ignore'
    // One of those beside it may still do better.
    if (!isOk && this.#hedges !== undefined && this.#running().length > 0) return
    if (this.#hedges !== undefined) this.#hedges.nextMs = Infinity
    if (attempt.holder.underWay > 0) attempt.holder.abandonLater(this.engine)
    this.#settleTicket(verdict, isTimeout, nowMs - attempt.startedMs, nowMs)
    // The same holds for who is told of the breaker.
    if (this.#state !== RUNNING) return
    if (verdict !== 'retry' && verdict !== 'throttle') return this.#end(undefined)
    const suppressed = this.#backOff(attempt, nowMs)
    if (this.#state === RUNNING) this.#end(suppressed)
  }

  /** Waits for another attempt, or says why there is none; undefined too where the policy has no more. */
  #backOff(attempt: Attempt, nowMs: number): Suppressed | undefined {
    const { settings, upstream, timeouts } = this.engine
    if (settings.attempts === 1 || this.isOnce) return undefined
    if (this.isRetried || wasGivenUp(this.#result, attempt.mark)) return 'layer'
    if (this.#tries >= settings.attempts) return undefined
    const againMs = nowMs + delayMs(settings.backoff, this.#tries, this.#retryAfterMs, settings.random)
    if (againMs + upstream.latencies.medianMs() >= this.endsMs) return 'deadline'
    if (upstream.budget !== undefined && !upstream.budget.take(this.cell, nowMs)) return 'budget'
    this.#keepScope()
    this.#state = BACKING_OFF
    timeouts.begin(this, againMs, nowMs)
    return undefined
  }

  #tryAgain(nowMs: number): void {
    const entry = this.engine.upstream.enter(this.cell, nowMs)
    if (entry === ADMITTED) this.startInScope(nowMs)
    else if (entry === QUEUE) this.queue(nowMs)
    else this.refuse(entry === OPEN ? 'open' : 'shed', nowMs)
  }

  #hedge(nowMs: number): void {
    const { settings, upstream } = this.engine
    const hedges = this.#hedges!
    hedges.nextMs = hedges.begun.length + 1 < settings.hedges ? nowMs + settings.hedgeMs : Infinity
    if (upstream.budget !== undefined && !upstream.budget.take(this.cell, nowMs)) return
    const hedge = new Attempt(this, nowMs, this.#attempt)
    hedges.begun.push(hedge)
    this.#inScope(this.#tries - 1, () => hedge.begin())
  }

  #deadlinePassed(nowMs: number): void {
    const { upstream, settings } = this.engine
    this.#leave()
    if (this.#state === RUNNING) {
      const ranMs = nowMs - this.#attempt!.startedMs
      // What is cut shorter than calls take says nothing of the upstream.
      const isItsFault = !this.isCutShort || ranMs >= upstream.latencies.medianMs()
      this.#settleTicket(isItsFault ? 'retry' : 'ignore', isItsFault, ranMs, nowMs)
    }
    const waitedMs = Math.round(this.endsMs - this.joinedMs)
    const error = new ResilienceError(
      'DEADLINE_EXCEEDED',
      `pipeline "${settings.name}": no answer within ${waitedMs} ms`,
      this.#kind === undefined ? {} : { cause: this.#result },
    )
    if (settings.attempts > 1) giveUpOn(error)
    this.#fail('deadline', error, undefined, undefined)
  }

  #cancel(kind: 'aborted' | 'closed', reason: unknown): void {
    if (this.#state === DONE) return
    this.#leave()
    this.#settleTicket('ignore', false, 0, this.engine.clock.monotonic())
    this.#fail(kind, reason, undefined, undefined)
  }

  /** It waits for no place, and for no other attempt: a retry that has not begun costs nothing. */
  #leave(): void {
    const { upstream } = this.engine
    if (this.inLine) upstream.waiters!.remove(this.cell, this)
    if (this.#tries > 0 && this.#state !== RUNNING) upstream.budget?.giveBack(this.cell)
  }

  #settleTicket(verdict: Class, isTimeout: boolean, latencyMs: number, nowMs: number): void {
    const attempt = this.#attempt
    if (attempt === undefined || !attempt.holdsTicket) return
    attempt.holdsTicket = false
    this.engine.upstream.settle(attempt, verdict, isTimeout, latencyMs, this.#retryAfterMs, nowMs)
  }

  /** No more attempts: what the last one came to is the answer. */
  #end(suppressed: Suppressed | undefined): void {
    const { engine } = this
    const isOk = this.#verdict === 'ok' || this.#verdict === 'ignore'
    if (suppressed !== undefined) engine.suppressed(suppressed)
    if (!isOk && engine.settings.attempts > 1 && !this.isOnce) giveUpOn(this.#result)
    if (this.#kind !== undefined)
      return this.#fail(this.#kind, this.#result, suppressed, this.#retryAfterMs || undefined)
    this.#done(undefined)
    engine.count(isOk ? 'ok' : 'failed')
    if (this.answersOutcome) this.resolve!({ ok: true, value: this.#result, attempts: this.works, fallback: false })
    else this.resolve!(this.#result)
  }

  #fail(kind: FailureKind, error: unknown, suppressed: Suppressed | undefined, retryAfter: number | undefined): void {
    if (this.#state === DONE) return
    this.#discardValue()
    const { engine, hub } = this
    this.#done(error)
    engine.count(kind)
    const failure: Failure = {
      ok: false,
      kind,
      error,
      ...(retryAfter === undefined ? {} : { retryAfter }),
      attempts: this.works,
      ...(suppressed === undefined ? {} : { suppressed }),
    }
    if (engine.settings.fallback === undefined || kind === 'aborted') return engine.answer(this, failure)
    const fallBack = (): void => this.resolve!(engine.fallBack(failure, this.answersOutcome, hub))
    if (this.#scope === undefined) fallBack()
    else this.#scope.runInAsyncScope(fallBack)
  }

  /** What an attempt has answered is not given to anybody. */
  #discardValue(): void {
    if (this.#result === undefined || this.#kind !== undefined) return
    this.engine.discard(this.#result)
    this.#result = undefined
  }

  /** Nothing waits for it from here on; works that still run are told `reason`. */
  #done(reason: unknown): void {
    this.#state = DONE
    if (this.list !== undefined) this.list.remove(this)
    if (this.hub !== undefined) this.hub.remove(this)
    // Who is told by the signal may do anything, close the pipeline too: by then this call is gone.
    this.engine.left(this)
    const attempt = this.#attempt
    if (attempt !== undefined) {
      if (!attempt.isOver) attempt.giveUp(reason ?? LOST)
      if (this.#hedges !== undefined) for (const hedge of this.#running()) hedge.giveUp(reason ?? LOST)
      if (attempt.underWay > 0) attempt.abandonLater(this.engine)
    }
  }

  /** Attempts whose result counts. */
  #running(): Attempt[] {
    const all = this.#hedges === undefined ? [this.#attempt!] : [this.#attempt!, ...this.#hedges.begun]
    return all.filter(({ isOver }) => !isOver)
  }

  /** Until the nearest time at which something is to be done. */
  #sleep(nowMs: number): void {
    const attempt = this.#attempt!
    let dueMs = this.endsMs
    if (!attempt.isOver && attempt.endsMs < dueMs) dueMs = attempt.endsMs
    if (this.#hedges !== undefined) {
      dueMs = Math.min(dueMs, this.#hedges.nextMs, ...this.#running().map(({ endsMs }) => endsMs))
    }
    this.engine.timeouts.begin(this, dueMs, nowMs)
  }

  #keepScope(): void {
    this.#scope ??= new AsyncResource('keelson.call', { requireManualDestroy: true })
  }
}

/** What is no time, such as a header that could not be read, asks for nothing. */
function timeMs(given: unknown): number {
  return typeof given === 'number' && given > 0 ? given : 0
}

/** Why the slower of two attempts is given up. */
const LOST = new DOMException('Another attempt has answered.', 'AbortError')
