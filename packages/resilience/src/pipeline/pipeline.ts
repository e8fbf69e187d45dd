import type { Component, Status } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { BreakerState } from './breaker.ts'
import type { CallOptions, Work } from './call.ts'
import { Engine, type Internals } from './engine.ts'
import { pipelineMetrics } from './metrics.ts'
import type { Outcome } from './outcome.ts'
import type { Permit } from './permit.ts'
import { readSettings, type PipelineOptions } from './settings.ts'
import type { Forced } from './upstream.ts'

/** How a pipeline is. */
export interface PipelineStatus extends Status {
  /** Of its keys, the worst. */
  readonly breaker: BreakerState
  /** Keys that have state. */
  readonly keys: number
  /** Keys whose breaker is not closed, at most 100 of them. */
  readonly notClosed: readonly string[]
  /** Works that have not ended, also those that nobody waits for any more. */
  readonly inFlight: number
  /** Calls that wait for a place. */
  readonly queued: number
  /** How many may be under way, of calls without a key; Infinity without a limit. */
  readonly limit: number
  /** What the breaker counts, of all keys. */
  readonly window: { readonly total: number; readonly failed: number; readonly slow: number }
  /** Ms that the latest successes took; 0 while there is none. */
  readonly p50: number
  readonly p95: number
  /** Retries that may be made now, of calls without a key; Infinity without a budget. */
  readonly budget: number
}

/** Bounds, retries, breaks, limits and replaces calls to one upstream. */
export interface Pipeline<T = any> extends Component {
  readonly name: string
  /**
   * Runs `work`. Rejects with the upstream's own error, the signal's reason, or a ResilienceError: BREAKER_OPEN, SHED,
   * THROTTLED, RATE_LIMITED (not asked at all), ATTEMPT_TIMEOUT, DEADLINE_EXCEEDED, CLOSED, INPUT_INVALID.
   */
  run<R extends T>(work: Work<R>, o?: CallOptions): Promise<R>
  /** The same, and never rejects. What is refused while a breaker is open is one frozen outcome for all: no error is made. */
  try<R extends T>(work: Work<R>, o?: CallOptions): Promise<Outcome<R>>
  /**
   * The admission alone, for streams: no queue, no retry, no time.
   * @throws ResilienceError BREAKER_OPEN, SHED, THROTTLED, RATE_LIMITED, CLOSED, INPUT_INVALID
   */
  admit(o?: Pick<CallOptions, 'key'>): Permit
  /** What a call would meet now: an open breaker whose time is over is half-open. */
  state(key?: string): BreakerState
  /**
   * Holds a breaker `open` or `closed`; `observe` counts and changes but refuses nobody; `null` gives it back. Without a
   * key all of them.
   */
  force(to: Forced, key?: string): void
  inspect(): Promise<PipelineStatus>
  /** Calls that are under way end as `closed`, and so do later ones. */
  close(): Promise<void>
}

/**
 * A pipeline for one upstream: fallback( deadline( retry( rate( throttle( breaker( limit( hedge( attempt( work )))))))),
 * always in this order.
 * @throws ResilienceError OPTION_INVALID that names the option, what came and what is allowed.
 */
export function createPipeline<T = any>(options: PipelineOptions<T>): Pipeline<T> {
  return pipelineWith(options)
}

const FORCED: readonly unknown[] = ['open', 'closed', 'observe', null]
const WORST: readonly BreakerState[] = ['open', 'half-open', 'ramp', 'closed']
const MAX_NAMED = 100

/** The same, with what only Keelson's own pipelines set. */
export function pipelineWith<T>(options: PipelineOptions<T>, internals?: Internals): Pipeline<T> {
  const settings = readSettings(options)
  const engine = new Engine(settings, internals)
  const { upstream, clock } = engine
  const metrics = pipelineMetrics(engine)

  function statuses(): { readonly key: string | undefined; readonly state: BreakerState }[] {
    const nowMs = clock.monotonic()
    return [...upstream.cells.all()].map((cell) => ({
      key: upstream.cells.keyOf(cell),
      state: upstream.state(cell, nowMs),
    }))
  }

  const pipeline: Pipeline<T> = {
    name: settings.name,
    run: (work, o) => engine.call(work, o, false),
    try: (work, o) => engine.call(work, o, true),
    admit: (o) => engine.admit(o),
    state(key) {
      const cell = upstream.cells.find(key)
      return cell === undefined ? upstream.stateOfNew() : upstream.state(cell, clock.monotonic())
    },
    force(to, key) {
      if (!FORCED.includes(to))
        throw optionFailure(`force: "to" must be 'open', 'closed', 'observe' or null (got ${String(to)})`)
      engine.force(to, key)
    },
    async inspect() {
      const nowMs = clock.monotonic()
      const each = statuses()
      const breaker = WORST.find((state) => each.some((one) => one.state === state))!
      const { breakers, limits, waiters, budget, latencies } = upstream
      const window = { total: 0, failed: 0, slow: 0 }
      for (const cell of breakers === undefined ? [] : upstream.cells.all()) {
        breakers!.window.roll(cell, nowMs)
        window.total += breakers!.window.total[cell]!
        window.failed += breakers!.window.failed[cell]!
        window.slow += breakers!.window.slow[cell] ?? 0
      }
      return {
        name: settings.name,
        state: breaker === 'closed' ? 'ok' : 'degraded',
        counts: { ...engine.outcomes, attempts: engine.attempts, abandoned: engine.abandonments },
        breaker,
        keys: upstream.cells.size,
        notClosed: each
          .filter(({ key, state }) => key !== undefined && state !== 'closed')
          .slice(0, MAX_NAMED)
          .map(({ key }) => key!),
        inFlight: engine.inFlight,
        queued: waiters?.size ?? 0,
        limit: limits?.limit(0) ?? Infinity,
        window,
        p50: latencies.quantileMs(0.5),
        p95: latencies.quantileMs(0.95),
        budget: budget?.left(0, nowMs) ?? Infinity,
      }
    },
    metrics: () => metrics(statuses().map(({ state }) => state)),
    async close() {
      engine.close()
    },
    async [Symbol.asyncDispose]() {
      engine.close()
    },
  }
  return pipeline
}
