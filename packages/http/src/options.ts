import type { Audit } from '@keelson/audit'
import type { Caches } from '@keelson/cache'
import type { Idempotency, TransactionalIdempotency } from '@keelson/idempotency'
import {
  checkOptions,
  opt,
  systemClock,
  type Clock,
  type Duration,
  type Logger,
  type Opt,
  type Principal,
} from '@keelson/kernel'
import type { Limiter } from '@keelson/resilience/limiter'
import { database, type DatabaseLike, type KnownDatabase } from '@keelson/kernel/postgres'
import { isProxyList, proxyTest, type AddressTest } from './addresses.ts'
import { isAnchored } from './correlation.ts'
import { optionFailure } from './error.ts'
import type { Exchange } from './exchange.ts'
import type { HttpProblem } from './problem.ts'

/** What http needs of `createIdempotency`: `transaction` for transactional routes, `run` for all others. */
export type IdempotencyLike = Pick<Idempotency, 'run'> &
  Partial<Pick<Idempotency, 'transactional'> & Pick<TransactionalIdempotency, 'transaction'>>

/** What http needs of `createCache`. */
export type CachesLike = Pick<Caches, 'scope'>

/** What http needs of `createAudit`. */
export type AuditLike = Pick<Audit, 'entry' | 'record'>

/** What http needs of `createLimiter`. */
export type LimiterLike = Pick<Limiter, 'take' | 'refund'>

/** What `createHttp` takes; all optional. */
export interface HttpOptions {
  /** Where transactional routes write: a pg Pool, a PGlite or a Database. */
  readonly db?: DatabaseLike
  /** For transactional routes on the same database. */
  readonly idempotency?: IdempotencyLike
  /** For the rules `cached` and `invalidates`. What requests read of caches is counted into `counters()`. */
  readonly cache?: CachesLike
  /** For the rule `audited`; in transactional routes on the same database. */
  readonly audit?: AuditLike
  /** For the rule `rateLimit`, by names of 1 to 64 of `A-Z a-z 0-9 _ . -`. */
  readonly limiters?: Readonly<Record<string, LimiterLike>>
  /** Hears of each thrown error once, and of requests (see `requestLog`); silent by default. */
  readonly logger?: Logger
  readonly clock?: Clock
  /** The tenant of a request, for each rule without a scope of its own. Undefined at run time is an error, never 'public'. */
  readonly scope?: (x: Exchange) => string | undefined
  /** Who asks, read after the framework's authentication. */
  readonly principal?: (x: Exchange) => Principal | undefined
  /** `header` 'x-correlation-id'; `accept` /^[\w.:-]{8,128}$/: any other inbound id is replaced by a UUIDv7. */
  readonly correlation?: { readonly header?: string; readonly accept?: RegExp }
  /**
   * Addresses and CIDR ranges of the proxies whose `X-Forwarded-For` is believed, right to left, and `'unix'` for one that
   * comes by a Unix socket; default none: then the client's address is that of the socket.
   */
  readonly trustProxy?: readonly string[]
  /**
   * How long a request may take; see `context.remaining()`. `default`: of each request; none, at most `max`. `max` (60 s) bounds what
   * a caller asks for with `x-request-timeout-ms`.
   */
  readonly deadline?: { readonly default?: Duration; readonly max?: Duration }
  /** The levels of the two lines of each request: `start` 'debug', `end` 'info'; false for none. */
  readonly requestLog?: false | { readonly start?: LogLevel; readonly end?: LogLevel }
  readonly problems?: ProblemOptions
  /** The longest body, in bytes, whose bytes a rule may need; default 1,048,576. A longer one is then 413. */
  readonly maxRawBody?: number
  /**
   * The longest body of a handler's answer, in bytes, that is kept under an idempotency key, or gets an `etag`; default
   * 262,144. A longer one passes, and a repeat is told that it was not kept.
   */
  readonly maxStoredBytes?: number
  /** `retries` after a serialization failure or a deadlock; default 2. */
  readonly transaction?: { readonly retries?: number }
}

/** A method of the logger. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** How errors become problems. */
export interface ProblemOptions {
  /** In front of the code; default 'urn:keelson:problem:'. */
  readonly typeBase?: string
  /** When messages and stacks of errors may leave; default 'development', which is NODE_ENV=development. */
  readonly details?: 'development' | 'never' | 'always'
  /** Asked first: an application's own errors as problems. */
  readonly map?: (error: unknown, x?: Exchange) => HttpProblem | undefined
}

/** A field name of RFC 9110, section 5.1. */
export const HEADER_NAME: RegExp = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Members that are checked by themselves. */
export const OBJECT: Opt<object | undefined> = opt.custom<object>('an object', isObject)

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

const SPEC = {
  db: opt.custom<DatabaseLike>('a pg Pool, a PGlite or a Database', isObject),
  idempotency: opt.port<IdempotencyLike>(['run']),
  cache: opt.port<CachesLike>(['scope']),
  audit: opt.port<AuditLike>(['entry', 'record']),
  limiters: opt.custom<Readonly<Record<string, LimiterLike>>>(
    'limiters by names of 1 to 64 of A-Z a-z 0-9 _ . -',
    (given) => isObject(given) && Object.entries(given as object).every(isLimiter),
    {},
  ),
  logger: opt.logger(),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  scope: opt.fn<(x: Exchange) => unknown>(),
  principal: opt.fn<(x: Exchange) => unknown>(),
  correlation: opt.group({
    header: opt.string('x-correlation-id', { match: HEADER_NAME }),
    accept: opt.custom('a RegExp from ^ to $ without the flags g, m and y', isAnchored, /^[\w.:-]{8,128}$/),
  }),
  trustProxy: opt.custom<readonly string[]>(
    "an array of addresses and CIDR ranges, v4 or v6, and 'unix'",
    isProxyList,
    [],
  ),
  deadline: opt.group({
    default: opt.duration(undefined, { min: 1, max: '24h' }),
    max: opt.duration('60s', { min: 1, max: '24h' }),
  }),
  requestLog: orFalse(opt.group({ start: opt.oneOf(LEVELS, 'debug'), end: opt.oneOf(LEVELS, 'info') })),
  problems: opt.group({
    typeBase: opt.string('urn:keelson:problem:'),
    details: opt.oneOf(['development', 'never', 'always'], 'development'),
    map: opt.fn<NonNullable<ProblemOptions['map']>>(),
  }),
  maxRawBody: opt.integer(1_048_576, { min: 1 }),
  maxStoredBytes: opt.integer(262_144),
  transaction: opt.group({ retries: opt.integer(2, { max: 100 }) }),
}

/** The options with their defaults. */
export interface CheckedOptions {
  readonly db: KnownDatabase | undefined
  readonly idempotency: IdempotencyLike | undefined
  readonly cache: CachesLike | undefined
  readonly audit: AuditLike | undefined
  readonly limiters: Readonly<Record<string, LimiterLike>>
  readonly logger: Logger
  readonly clock: Clock
  readonly scope: ((x: Exchange) => unknown) | undefined
  readonly principal: ((x: Exchange) => unknown) | undefined
  readonly correlation: { readonly header: string; readonly accept: RegExp }
  readonly isTrustedProxy: AddressTest
  /** In ms. */
  readonly deadline: { readonly default: number | undefined; readonly max: number }
  readonly requestLog: { readonly start: LogLevel; readonly end: LogLevel } | undefined
  readonly problems: { readonly typeBase: string; readonly details: boolean; readonly map: ProblemOptions['map'] }
  readonly maxRawBody: number
  readonly maxStoredBytes: number
  readonly retries: number
}

/** @throws HttpError OPTION_INVALID */
export function checkHttpOptions(options: HttpOptions, nodeEnv: string | undefined): CheckedOptions {
  const o = checkOptions('createHttp', options, SPEC, optionFailure)
  const { trustProxy, correlation, problems, transaction, ...rest } = o
  const { default: ms = 0, max } = o.deadline
  if (ms > max) throw optionFailure(`createHttp: "deadline.default" must be at most "max" (got ${ms} and ${max} ms)`)
  return {
    ...rest,
    isTrustedProxy: proxyTest(trustProxy),
    db: o.db === undefined ? undefined : knownDatabase(o.db),
    correlation: { ...correlation, header: correlation.header.toLowerCase() },
    problems: {
      ...problems,
      details: problems.details === 'always' || (problems.details === 'development' && nodeEnv === 'development'),
    },
    retries: transaction.retries,
  }
}

/** Or none of it. */
function orFalse<T>(group: Opt<T>): Opt<T | undefined> {
  const parse = (given: unknown): { value: undefined } | undefined =>
    given === false ? { value: undefined } : undefined
  return { ...group, allowed: `false or ${group.allowed}`, parse }
}

function knownDatabase(db: DatabaseLike): KnownDatabase {
  try {
    return database(db)
  } catch (cause) {
    throw optionFailure(`createHttp: ${(cause as Error).message}`)
  }
}

function isLimiter([name, limiter]: readonly [string, unknown]): boolean {
  const { take, refund } = Object(limiter) as Partial<LimiterLike>
  return /^[\w.-]{1,64}$/.test(name) && typeof take === 'function' && typeof refund === 'function'
}

function isObject(given: unknown): boolean {
  return typeof given === 'object' && given !== null
}
