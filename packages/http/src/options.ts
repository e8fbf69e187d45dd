import type { Idempotency, TransactionalIdempotency } from '@keelson/idempotency'
import {
  checkOptions,
  opt,
  silentLogger,
  systemClock,
  type Clock,
  type Duration,
  type Logger,
  type Opt,
  type OptionSpec,
  type Principal,
  type Resolved,
} from '@keelson/kernel'
import { database, type DatabaseLike, type KnownDatabase } from '@keelson/kernel/postgres'
import { addressTest, isAddressList, type AddressTest } from './addresses.ts'
import { isAnchored } from './correlation.ts'
import { optionFailure } from './error.ts'
import type { Exchange } from './exchange.ts'
import type { HttpProblem } from './problem.ts'

/** What http needs of `createIdempotency`: `transaction` for transactional routes, `run` for all others. */
export type IdempotencyLike = Pick<Idempotency, 'run'> &
  Partial<Pick<Idempotency, 'transactional'> & Pick<TransactionalIdempotency, 'transaction'>>

/** What `createHttp` takes; all optional. */
export interface HttpOptions {
  /** Where transactional routes write: a pg Pool, a PGlite or a Database. */
  readonly db?: DatabaseLike
  /** For transactional routes on the same database. */
  readonly idempotency?: IdempotencyLike
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
   * Addresses and CIDR ranges of the proxies whose `X-Forwarded-For` is believed, right to left; default none: then the
   * client's address is that of the socket.
   */
  readonly trustProxy?: readonly string[]
  /**
   * How long a request may take; see `context.remaining()`. `default`: of each request; none. `max` (60 s) bounds what
   * a caller asks for with `x-request-timeout-ms`.
   */
  readonly deadline?: { readonly default?: Duration; readonly max?: Duration }
  /** The levels of the two lines of each request: `start` 'debug', `end` 'info'; false for none. */
  readonly requestLog?: false | { readonly start?: LogLevel; readonly end?: LogLevel }
  readonly problems?: ProblemOptions
  /** The longest body, in bytes, whose bytes a rule may need; default 1,048,576. A longer one is then 413. */
  readonly maxRawBody?: number
  /**
   * The longest body of a handler's answer, in bytes, that is kept under an idempotency key; default 262,144. A longer
   * one passes, and a repeat is told that it was not kept.
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

/** Addresses and CIDR ranges. */
export const addressList: Opt<readonly string[] | undefined> = opt.custom(
  'an array of addresses and CIDR ranges, v4 or v6',
  isAddressList,
)

const SPEC = {
  db: opt.custom<DatabaseLike>('a pg Pool, a PGlite or a Database', isObject),
  idempotency: opt.port<IdempotencyLike>(['run']),
  logger: opt.port<Logger>(['debug', 'info', 'warn', 'error'], silentLogger),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  scope: opt.fn<(x: Exchange) => unknown>(),
  principal: opt.fn<(x: Exchange) => unknown>(),
  correlation: OBJECT,
  trustProxy: addressList,
  deadline: OBJECT,
  requestLog: opt.custom<object | false>('false or an object', (given) => given === false || isObject(given)),
  problems: OBJECT,
  maxRawBody: opt.integer(1_048_576, { min: 1 }),
  maxStoredBytes: opt.integer(262_144),
  transaction: OBJECT,
}

const CORRELATION = {
  header: opt.string('x-correlation-id', { match: HEADER_NAME }),
  accept: opt.custom('a RegExp from ^ to $ without the flags g, m and y', isAnchored, /^[\w.:-]{8,128}$/),
}

const DEADLINE = {
  default: opt.duration(undefined, { min: 1, max: '24h' }),
  max: opt.duration('60s', { min: 1, max: '24h' }),
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
const REQUEST_LOG = { start: opt.oneOf(LEVELS, 'debug'), end: opt.oneOf(LEVELS, 'info') }

const PROBLEMS = {
  typeBase: opt.string('urn:keelson:problem:'),
  details: opt.oneOf(['development', 'never', 'always'], 'development'),
  map: opt.fn<NonNullable<ProblemOptions['map']>>(),
}

const TRANSACTION = { retries: opt.integer(2, { max: 100 }) }

/** The options with their defaults. */
export interface CheckedOptions {
  readonly db: KnownDatabase | undefined
  readonly idempotency: IdempotencyLike | undefined
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
  const o = check('createHttp', options, SPEC)
  const correlation = check('createHttp: correlation', o.correlation, CORRELATION)
  const { typeBase, details, map } = check('createHttp: problems', o.problems, PROBLEMS)
  const { trustProxy, requestLog, ...rest } = o
  return {
    ...rest,
    isTrustedProxy: addressTest(trustProxy ?? []),
    deadline: check('createHttp: deadline', o.deadline, DEADLINE),
    requestLog: requestLog === false ? undefined : check('createHttp: requestLog', requestLog, REQUEST_LOG),
    db: o.db === undefined ? undefined : knownDatabase(o.db),
    correlation: { ...correlation, header: correlation.header.toLowerCase() },
    problems: {
      typeBase,
      details: details === 'always' || (details === 'development' && nodeEnv === 'development'),
      map,
    },
    retries: check('createHttp: transaction', o.transaction, TRANSACTION).retries,
  }
}

function check<S extends OptionSpec>(owner: string, given: unknown, spec: S): Resolved<S> {
  return checkOptions(owner, given, spec, optionFailure)
}

function knownDatabase(db: DatabaseLike): KnownDatabase {
  try {
    return database(db)
  } catch (cause) {
    throw optionFailure(`createHttp: ${(cause as Error).message}`)
  }
}

function isObject(given: unknown): boolean {
  return typeof given === 'object' && given !== null
}
