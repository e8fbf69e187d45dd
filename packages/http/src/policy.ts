import { checkOptions, isPlainText, isScope, opt, type Duration } from '@keelson/kernel'
import { checkDeprecation, type DeprecatedRule, type Deprecation } from './deprecation.ts'
import { optionFailure } from './error.ts'
import type { Exchange } from './exchange.ts'
import { isAddressList } from './addresses.ts'
import { HEADER_NAME, OBJECT } from './options.ts'

/** A tenant, or how to read it from a request. */
export type Scope = string | ((x: Exchange) => string | undefined)

/** What a route asks for. Each rule is one member. */
export interface RoutePolicy {
  /**
   * One effect per idempotency key. Together with `transactional` claim, rows, effects and answer are one commit; alone,
   * the key is claimed first, a handler of any style runs, and its answer is stored before the last byte leaves.
   */
  readonly idempotent?: IdempotentRule
  /** The handler returns its answer, and its rows, effects and answer become true in one commit. */
  readonly transactional?: boolean
  /** Only clients with these addresses (CIDR, v4 and v6); see `trustProxy`. Others get 403 'address-refused'. */
  readonly allowIps?: readonly string[]
  /**
   * How long the route may take, counted from the beginning of the request; with `deadline` of http the nearer one
   * counts. When it is over before the handler begins, 504 'deadline-exceeded'. A running handler is not stopped: the
   * calls that it makes obey `context.remaining()`.
   */
  readonly deadline?: Duration
  /** Says so on each answer: `Deprecation`, `Sunset`, `Link`. */
  readonly deprecated?: DeprecatedRule
}

/** The Idempotency-Key protocol of a route. */
export interface IdempotentRule {
  /** Default: the scope of http. */
  readonly scope?: Scope
  /** Drops the principal from the key's owner: users of one scope share keys. Default false. */
  readonly share?: boolean
  /** Refuses a request without a key; default false: it runs unguarded. */
  readonly required?: boolean
  /** Default 'idempotency-key'. */
  readonly header?: string
  /** The key itself, 1 to 255 characters, instead of a header; undefined is a missing one. */
  readonly key?: (x: Exchange) => string | undefined | Promise<string | undefined>
  /** Default: method and concrete path. */
  readonly operation?: string
  /**
   * What a repeat must match. 'raw' (default): query, content type and every byte of the body; 'json': the same, but
   * for the body's meaning as JSON; a function: the bytes it answers.
   */
  readonly fingerprint?: 'raw' | 'json' | ((x: Exchange) => Uint8Array | Promise<Uint8Array>)
  /** How long the answer is kept; default the core's. */
  readonly retain?: Duration
  /** How long a duplicate waits for the first call; default the core's. */
  readonly wait?: Duration
  /** 'stripeV1': a 5xx of a handler that began is an answer like any other. Not in a transactional route. */
  readonly preset?: 'stripeV1'
}

/** A policy with its defaults; durations in ms. */
export interface CheckedPolicy {
  readonly transactional: boolean
  readonly idempotent: CheckedIdempotentRule | undefined
  readonly allowIps: readonly string[] | undefined
  readonly deadline: number | undefined
  readonly deprecated: Deprecation | undefined
}

export interface CheckedIdempotentRule {
  readonly scope: Scope | undefined
  readonly share: boolean
  readonly required: boolean
  readonly header: string
  readonly key: IdempotentRule['key']
  readonly operation: string | undefined
  readonly fingerprint: NonNullable<IdempotentRule['fingerprint']>
  readonly retain: number | undefined
  readonly wait: number | undefined
  readonly preset: 'stripeV1' | undefined
}

const POLICY = {
  idempotent: OBJECT,
  transactional: opt.boolean(false),
  allowIps: opt.custom<readonly string[]>(
    'an array of addresses and CIDR ranges, v4 or v6, at least one',
    (given) => isAddressList(given) && given.length > 0,
  ),
  deadline: opt.duration(undefined, { min: 1, max: '24h' }),
  deprecated: OBJECT,
}

const IDEMPOTENT = {
  scope: opt.custom<Scope>(
    'a scope of 1 to 128 bytes without control characters, or a function',
    (given) => typeof given === 'function' || isScope(given),
  ),
  share: opt.boolean(false),
  required: opt.boolean(false),
  header: opt.string('idempotency-key', { match: HEADER_NAME }),
  key: opt.fn<NonNullable<IdempotentRule['key']>>(),
  operation: opt.custom<string>('1 to 512 characters without control characters', isOperation),
  fingerprint: opt.custom<NonNullable<IdempotentRule['fingerprint']>>(
    "'raw', 'json' or a function",
    (given) => given === 'raw' || given === 'json' || typeof given === 'function',
    'raw',
  ),
  retain: opt.duration(undefined, { min: '1s' }),
  wait: opt.duration(undefined, { max: '1h' }),
  preset: opt.custom<'stripeV1'>("'stripeV1'", (given) => given === 'stripeV1'),
}

/** What of http a policy can build on. */
export interface Available {
  readonly db: boolean
  readonly idempotency: boolean
  /** Idempotency on a store that shares its database with the business rows. */
  readonly transaction: boolean
  readonly scope: boolean
}

/**
 * Reads a policy once, when its route is made.
 * @throws HttpError OPTION_INVALID that names the rule, the value and what is allowed or missing.
 */
export function checkPolicy(policy: RoutePolicy, has: Available): CheckedPolicy {
  const { idempotent, deprecated, ...rest } = checkOptions('policy', policy, POLICY, optionFailure)
  const { transactional } = rest
  if (transactional && !has.db) throw optionFailure('policy: "transactional" needs createHttp({ db })')
  return {
    ...rest,
    deprecated: deprecated === undefined ? undefined : checkDeprecation(deprecated),
    idempotent: idempotent === undefined ? undefined : checkIdempotent(idempotent, transactional, has),
  }
}

function checkIdempotent(idempotent: object, transactional: boolean, has: Available): CheckedIdempotentRule {
  const rule = checkOptions('policy: idempotent', idempotent, IDEMPOTENT, optionFailure)
  if (!has.idempotency) throw optionFailure('policy: "idempotent" needs createHttp({ idempotency })')
  if (transactional && !has.transaction) {
    throw optionFailure('policy: "idempotent" with "transactional" needs idempotency on a store such as postgresStore')
  }
  if (transactional && rule.preset !== undefined) {
    throw optionFailure('policy: idempotent: "preset" is not for a transactional route: its 5xx leave nothing')
  }
  if (rule.scope === undefined && !has.scope) {
    throw optionFailure('policy: idempotent: "scope" is required here or in createHttp; write \'public\' to share')
  }
  if (rule.key !== undefined && (idempotent as IdempotentRule).header !== undefined) {
    throw optionFailure('policy: idempotent: give "header" or "key", not both')
  }
  return rule
}

function isOperation(given: unknown): boolean {
  return typeof given === 'string' && given.length >= 1 && given.length <= 512 && isPlainText(given)
}
