import {
  checkOptions,
  opt,
  systemClock,
  type Clock,
  type Duration,
  type Logger,
  type Opt,
  type OptionSpec,
  type Resolved,
} from '@keelson/kernel'
import type { Chaos } from '../chaos/index.ts'
import { optionFailure } from '../error.ts'
import type { Backoff, Jitter } from './backoff.ts'
import type { BreakerSettings } from './breaker.ts'
import { Budget } from './budget.ts'
import type { LimitSettings } from './limits.ts'
import type { Failure } from './outcome.ts'
import type { Verdict } from './verdict.ts'

/** How often a call is tried. */
export interface RetryOptions {
  /** With the first; default 3. */
  readonly attempts?: number
  /** Ceiling of the first delay, doubled for each further one; default 50 ms. */
  readonly base?: Duration
  /** Ceiling of every delay; default 20 s. What the upstream asks for (Retry-After) is added to it. */
  readonly cap?: Duration
  /** `full` (default): anything up to the ceiling; `equal`: from half of it on; `none`: the ceiling itself. */
  readonly jitter?: Jitter
  /** What retries may cost all together; default a `createBudget()` for each key. `false`: nothing holds them back. */
  readonly budget?: Budget | false
}

/** When calls are refused because the upstream fails. */
export interface BreakerOptions {
  /** What is counted: the calls of the last 10 s (default), of another time, or the last so many. */
  readonly window?: Duration | { readonly calls: number }
  /** Below so many calls in the window no rate counts; default 20. */
  readonly minCalls?: number
  /** Opens at this share of failures; default 0.5, with `throttle` 0.9. */
  readonly failRate?: number
  /** Opens at so many failures in a row inside one window; default as `minCalls`. */
  readonly consecutive?: number | false
  /** Opens when this share of calls took longer than `over`. */
  readonly slow?: { readonly over: Duration; readonly rate: number }
  /** How long it stays open: first `min`, each time in a row up to twice as long, at most `max`; default 5 s to 60 s. */
  readonly open?: Duration | { readonly min: Duration; readonly max: Duration }
  /** So many calls must succeed before it closes, and no more are under way meanwhile; default 3. */
  readonly probes?: number
  /** A probe that takes longer has failed; default 10 s. */
  readonly probeLease?: Duration
  /** After closing, a tenth of the calls is let through, and all of them after this time; default off. */
  readonly rampUp?: Duration | false
}

/** How many calls may be under way. */
export interface LimitOptions {
  /** The limit; of an adaptive one its upper bound, default 500. */
  readonly max?: number
  /** Follows the latency of the upstream; default false. */
  readonly adaptive?: boolean
  /** Of an adaptive one; default 2. */
  readonly min?: number
  /** Of an adaptive one; default 20. */
  readonly initial?: number
  /** So many calls may wait for a place; default 0. */
  readonly queue?: number
  /** The place of a work that was given up on and does not end is free after this time; default 60 s. */
  readonly abandonAfter?: Duration
}

/** What `createPipeline` takes. A policy is off unless it is named, except `deadline`; `true` takes its defaults. */
export interface PipelineOptions<T = any> {
  /** Of the upstream, in metrics and errors: `[a-z0-9_.-]`, at most 64. */
  readonly name: string
  /** For all of a call: queue, attempts and delays; default 30 s. A nearer deadline of the context counts. */
  readonly deadline?: Duration | false
  /** For one attempt; default off. */
  readonly attempt?: Duration | false
  readonly retry?: boolean | RetryOptions
  /** At most so many calls go out in a time, from this process: a token bucket that holds `burst` (default `limit`). */
  readonly rate?: { readonly limit: number; readonly per: Duration; readonly burst?: number }
  /** Drops calls with the chance (requests - k * accepts) / (requests + 1), at most `max`; default k 2, max 0.9. */
  readonly throttle?: boolean | { readonly k?: number; readonly max?: number }
  readonly breaker?: boolean | BreakerOptions
  /** A number is a limit that does not move. */
  readonly limit?: number | LimitOptions
  /** Of calls with `idempotent: true`: another attempt beside one that takes longer; at most `max` (1). Needs the budget. */
  readonly hedge?: { readonly after: Duration; readonly max?: number }
  /** Answers instead of a failure; not asked when the caller aborts. */
  readonly fallback?: (failure: Failure) => NoInfer<T> | PromiseLike<NoInfer<T>>
  /**
   * One judge of results for retry, breaker and limit; see `Class`. What it leaves undefined is judged as without it:
   * values are ok, errors by their status and `retryable`.
   */
  readonly classify?: { value?(value: NoInfer<T>): Verdict | undefined; error?(error: unknown): Verdict | undefined }
  /** So many keys have their own breaker, limit and budget; default 1,000. The least recently used idle one leaves. */
  readonly keys?: { readonly max?: number }
  readonly chaos?: Chaos
  readonly clock?: Clock
  /** In [0, 1); default `Math.random`. */
  readonly random?: () => number
  readonly logger?: Logger
}

const NAME: { readonly match: RegExp; readonly allowed: string } = {
  match: /^[a-z0-9_.-]{1,64}$/,
  allowed: "1 to 64 of a-z, 0-9, '_', '.' and '-'",
}

const TIME = { min: 1, max: '365d' } as const
const COUNT = { min: 1, max: 1_000_000 } as const
const rate = (fallback?: number): Opt<number | undefined> =>
  opt.custom('a number over 0, at most 1', (given) => typeof given === 'number' && given > 0 && given <= 1, fallback)
const positive = (fallback?: number): Opt<number | undefined> =>
  opt.custom('a number over 0', (given) => typeof given === 'number' && given > 0 && given < Infinity, fallback)

/** `false` is off. */
function orFalse<T>(inner: Opt<T>, fallback: T | false = inner.fallback): Opt<T | false> {
  return {
    ...inner,
    allowed: `false or ${inner.allowed}`,
    fallback,
    parse: (given) => (given === false ? { value: false } : inner.parse(given)),
  }
}

/** A policy: off when it is not named or `false`, with its defaults when `true`, or `value`, or an object. */
function policy<S extends OptionSpec>(spec: S): Opt<Resolved<S> | undefined> {
  const { allowed, fallback } = opt.group(spec)
  return {
    allowed: `true, false or ${allowed}`,
    required: false,
    fallback: undefined,
    inner: spec,
    parse: (given) => (typeof given === 'boolean' ? { value: given ? fallback : undefined } : undefined),
  }
}

/** A group without defaults of its own: absent, or complete. */
function whole<S extends OptionSpec>(spec: S): Opt<Resolved<S> | undefined> {
  return { ...opt.group(spec), fallback: undefined }
}

/** Either a plain value or an object. */
function either<T, S extends OptionSpec>(plain: Opt<T>, spec: S): Opt<T | Resolved<S>> {
  const { allowed } = opt.group(spec)
  return { ...plain, allowed: `${plain.allowed}, or ${allowed}`, inner: spec }
}

const SPEC = {
  name: opt.required(opt.string(undefined, NAME)),
  deadline: orFalse(opt.duration('30s', TIME)),
  attempt: orFalse(opt.duration(undefined, TIME), false),
  retry: policy({
    attempts: opt.integer(3, { min: 1, max: 100 }),
    base: opt.duration('50ms', { max: '365d' }),
    cap: opt.duration('20s', { max: '365d' }),
    jitter: opt.oneOf<Jitter>(['full', 'equal', 'none'], 'full'),
    budget: opt.custom<Budget | false>(
      'a createBudget() or false',
      (given) => given === false || given instanceof Budget,
    ),
  }),
  rate: whole({
    limit: opt.required(positive()),
    per: opt.required(opt.duration(undefined, TIME)),
    burst: opt.custom('a number from 1 on', (given) => typeof given === 'number' && given >= 1 && given < Infinity),
  }),
  throttle: policy({ k: positive(2), max: rate(0.9) }),
  breaker: policy({
    window: either(opt.duration('10s', { min: 10, max: '1d' }), {
      calls: opt.required(opt.integer(0, { min: 1, max: 10_000 })),
    }),
    minCalls: opt.custom<number>('an integer from 1 to 1,000,000', isCount),
    failRate: rate(),
    consecutive: orFalse<number | undefined>(
      opt.custom('an integer from 1 on', (given) => Number.isInteger(given) && (given as number) >= 1),
    ),
    slow: whole({ over: opt.required(opt.duration(undefined, TIME)), rate: opt.required(rate()) }),
    open: either(opt.duration(undefined, TIME), {
      min: opt.required(opt.duration(undefined, TIME)),
      max: opt.required(opt.duration(undefined, TIME)),
    }),
    probes: opt.integer(3, { min: 1, max: 1_000 }),
    probeLease: opt.duration('10s', TIME),
    rampUp: orFalse(opt.duration(undefined, TIME), false),
  }),
  limit: either(
    opt.custom<number>('an integer from 1 to 1,000,000', (given) => isCount(given)),
    {
      max: opt.custom('an integer from 1 to 1,000,000', (given) => isCount(given)),
      adaptive: opt.boolean(false),
      min: opt.integer(2, COUNT),
      initial: opt.integer(20, COUNT),
      queue: opt.integer(0, { max: 1_000_000 }),
      abandonAfter: opt.duration('60s', TIME),
    },
  ),
  hedge: whole({ after: opt.required(opt.duration(undefined, TIME)), max: opt.integer(1, { min: 1, max: 10 }) }),
  fallback: opt.fn<(failure: Failure) => unknown>(),
  classify: whole({
    value: opt.fn<(value: any) => Verdict | undefined>(),
    error: opt.fn<(error: unknown) => Verdict | undefined>(),
  }),
  keys: opt.group({ max: opt.integer(1_000, { min: 1, max: 1_000_000 }) }),
  chaos: opt.port<Chaos>(['wrap']),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  random: opt.fn<() => number>(Math.random),
  logger: opt.logger(),
}

function isCount(given: unknown): given is number {
  return Number.isInteger(given) && (given as number) >= 1 && (given as number) <= COUNT.max
}

/** Options as the pipeline uses them. */
export interface Settings {
  readonly name: string
  readonly deadlineMs: number
  readonly attemptMs: number
  readonly attempts: number
  readonly backoff: Backoff
  /** Undefined: one for each key. */
  readonly budget: Budget | false | undefined
  readonly rate: { readonly limit: number; readonly perMs: number; readonly burst: number } | undefined
  readonly throttle: { readonly k: number; readonly max: number } | undefined
  readonly breaker: BreakerSettings | undefined
  readonly limit: LimitSettings | undefined
  readonly queue: number
  readonly abandonMs: number
  readonly hedgeMs: number
  readonly hedges: number
  readonly fallback: ((failure: Failure) => unknown) | undefined
  readonly judgeValue: ((value: any) => Verdict | undefined) | undefined
  readonly judgeError: ((error: unknown) => Verdict | undefined) | undefined
  readonly maxKeys: number
  readonly chaos: Chaos | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
}

/** @throws ResilienceError OPTION_INVALID */
export function readSettings(options: PipelineOptions): Settings {
  const o = checkOptions('createPipeline', options, SPEC, optionFailure)
  const refuse = (what: string): never => {
    throw optionFailure(`createPipeline: ${what}`)
  }
  const limit = typeof o.limit === 'number' ? { ...LIMIT_DEFAULTS, max: o.limit } : o.limit
  const { deadline, attempt, retry, breaker, hedge } = o
  if (attempt !== false && deadline !== false && attempt! > deadline)
    refuse(`"attempt" must not be over "deadline" (got ${attempt} ms and ${deadline} ms)`)
  if (retry !== undefined && retry.base > retry.cap)
    refuse(`"retry.base" must not be over "retry.cap" (got ${retry.base} ms and ${retry.cap} ms)`)
  if (hedge !== undefined && (retry === undefined || retry.budget === false))
    refuse(`"hedge" needs "retry" with a budget (got ${retry === undefined ? 'no "retry"' : '"retry.budget" false'})`)
  if (limit?.adaptive === false && limit.max === undefined)
    refuse('"limit.max" is required unless "limit.adaptive" is true: an integer from 1 to 1,000,000')
  const max = limit?.max ?? 500
  if (limit?.adaptive === true && limit.min > max)
    refuse(`"limit.min" must not be over "limit.max" (got ${limit.min} and ${max})`)
  if (limit?.adaptive === true && (limit.initial < limit.min || limit.initial > max) && given(options, 'initial'))
    refuse(
      `"limit.initial" must be from "limit.min" to "limit.max" (got ${limit.initial}, not in ${limit.min} to ${max})`,
    )
  return {
    name: o.name,
    deadlineMs: deadline === false ? Infinity : deadline,
    attemptMs: attempt === false || attempt === undefined ? Infinity : attempt,
    attempts: retry?.attempts ?? 1,
    backoff: { baseMs: retry?.base ?? 0, capMs: retry?.cap ?? 0, jitter: retry?.jitter ?? 'full' },
    budget: retry === undefined ? false : retry.budget,
    rate: o.rate && { limit: o.rate.limit, perMs: o.rate.per, burst: o.rate.burst ?? Math.max(1, o.rate.limit) },
    throttle: o.throttle && { k: o.throttle.k!, max: o.throttle.max! },
    breaker: breaker && readBreaker(breaker, o.throttle !== undefined, refuse),
    limit: limit && {
      adaptive: limit.adaptive,
      max,
      min: limit.min,
      initial: Math.min(max, Math.max(limit.min, limit.initial)),
    },
    queue: limit?.queue ?? 0,
    abandonMs: limit?.abandonAfter ?? 0,
    hedgeMs: hedge?.after ?? Infinity,
    hedges: hedge?.max ?? 0,
    fallback: o.fallback,
    judgeValue: o.classify?.value,
    judgeError: o.classify?.error,
    maxKeys: o.keys.max,
    chaos: o.chaos,
    clock: o.clock,
    random: o.random,
    logger: o.logger,
  }
}

const LIMIT_DEFAULTS = { adaptive: false, min: 2, initial: 20, queue: 0, abandonAfter: 60_000 }
const OPEN_DEFAULT = { min: 5_000, max: 60_000 }

function given(options: PipelineOptions, member: keyof LimitOptions): boolean {
  return typeof options.limit === 'object' && options.limit[member] !== undefined
}

function readBreaker(
  o: NonNullable<Resolved<typeof SPEC>['breaker']>,
  isThrottled: boolean,
  refuse: (what: string) => never,
): BreakerSettings {
  const { min, max } = typeof o.open === 'number' ? { min: o.open, max: o.open } : (o.open ?? OPEN_DEFAULT)
  if (min > max) refuse(`"breaker.open.min" must not be over "breaker.open.max" (got ${min} ms and ${max} ms)`)
  const minCalls = o.minCalls ?? Math.min(20, typeof o.window === 'object' ? o.window.calls : 20)
  if (typeof o.window === 'object' && minCalls > o.window.calls)
    refuse(`"breaker.minCalls" must not be over "breaker.window.calls" (got ${minCalls} and ${o.window.calls})`)
  return {
    window: typeof o.window === 'number' ? { ms: o.window } : o.window,
    minCalls,
    failRate: o.failRate ?? (isThrottled ? 0.9 : 0.5),
    consecutive: o.consecutive ?? minCalls,
    slow: o.slow && { overMs: o.slow.over, rate: o.slow.rate },
    openMinMs: min,
    openMaxMs: max,
    probes: o.probes,
    probeLeaseMs: o.probeLease,
    rampUpMs: o.rampUp === false ? 0 : (o.rampUp ?? 0),
  }
}
