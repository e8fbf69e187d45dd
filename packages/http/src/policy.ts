import type { Cache, EntryOptions } from '@keelson/cache'
import { checkOptions, isPlainText, isScope, opt, type Duration, type StoredResponse } from '@keelson/kernel'
import type { RequestVerifier } from '@keelson/webhooks/request-signing'
import type { Verifier } from '@keelson/webhooks/verify'
import { checkDeprecation, type DeprecatedRule, type Deprecation } from './deprecation.ts'
import { optionFailure } from './error.ts'
import type { Exchange } from './exchange.ts'
import { isAddressList } from './addresses.ts'
import { HEADER_NAME, OBJECT, type AuditLike, type CachesLike, type LimiterLike } from './options.ts'

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
  /** The answer of a GET is kept, and given to the next ones: with `cache` of http. HEAD is answered out of it. */
  readonly cached?: CachedRule
  /**
   * A validator for the answer of a GET, and 304 for who has it. 'weak' with `cached`, alone none. The handler's own ETag
   * wins. 'strong' only where nothing compresses.
   */
  readonly etag?: 'weak' | 'strong' | false
  /**
   * What a write makes untrue, when it was answered with 2xx or 3xx: before its last byte leaves no node serves older
   * data. In a transactional route it is an effect, committed with the rows.
   */
  readonly invalidates?: InvalidatesRule
  /**
   * How often somebody may ask: with `limiters` of http. All rules must admit; others get 429 'rate-limited'. Every answer
   * says how much is left.
   */
  readonly rateLimit?: RateRule | readonly RateRule[]
  /**
   * Who did what, in the audit log: with `audit` of http. One entry a request, whatever its answer is; refusals by address,
   * limit, key or the framework's authentication are failures. In a transactional route it commits with the rows; a
   * handler that knows more, such as what changed, returns an `audit.entry()` of the same action in its place.
   */
  readonly audited?: AuditedRule
  /**
   * How long the route may take, counted from the beginning of the request; with `deadline` of http the nearer one
   * counts. When it is over before the handler begins, 504 'deadline-exceeded'. A running handler is not stopped: the
   * calls that it makes obey `context.remaining()`.
   */
  readonly deadline?: Duration
  /** Says so on each answer: `Deprecation`, `Sunset`, `Link`. */
  readonly deprecated?: DeprecatedRule
  /**
   * The request is a webhook of somebody else: verified over its bytes, 401 before anything is stored or run, and handled
   * once: a redelivery gets the first success again. With `idempotency` of http. The handler asks `received()` for it.
   */
  readonly receive?: ReceiveRule
  /**
   * The request is signed by one of our users (RFC 9421); others get 401. Whose key it is becomes the principal, and the
   * key's scope the tenant, of this rule and all behind it.
   */
  readonly signed?: SignedRule
}

/** How webhooks come in. */
export interface ReceiveRule {
  /** Of `@keelson/webhooks/verify`: `standard`, `github`, `stripe`, .. */
  readonly verifier: Verifier
  /** Whose messages they are, 1 to 64 of `A-Z a-z 0-9 _ . -`: ids of two sources never meet. */
  readonly source: string
  readonly scope: Scope
  /** How long a message is remembered; default 7 d, longer than senders repeat. */
  readonly retain?: Duration
}

/** How requests of users are signed. */
export interface SignedRule {
  /** `requestVerifier({ keys, nonces })` of `@keelson/webhooks/request-signing`. */
  readonly verifier: RequestVerifier
}

/** What the entry of a request says beside who asked, from where, and what was answered. */
export interface AuditedRule {
  /** 'order.create': segments joined by dots, at most 128 characters. */
  readonly action: string
  /** What is acted upon. `r` is the answer; with `required` it is asked before the handler too, without one. */
  readonly target?: (x: Exchange, r?: ResponseHead) => { readonly type: string; readonly id: string } | undefined
  /**
   * No handler runs before the log itself, and no spool, has taken that it is tried: else 503. The entry of its answer
   * names that one. In a transactional route nothing more: there the write and its entry are one commit. Default false.
   */
  readonly required?: boolean
  /** Default: the tenant of the route. A refusal whose tenant nobody knows is in the scope 'keelson'. */
  readonly scope?: Scope
}

/** Status and headers of an answer. */
export type ResponseHead = Pick<StoredResponse, 'status' | 'headers'>

/** Tags of a cache, or how to read them from a request and its answer. */
export type Tags = readonly string[] | ((x: Exchange, r: ResponseHead) => readonly string[])

/** Drops these tags; of another scope than that of http by an object. */
export type InvalidatesRule = Tags | { readonly tags: Tags; readonly scope?: Scope }

/** Whose answers are whose must be said, unless everybody's are `'public'`. */
export type CachedRule = CachedRuleOptions &
  (
    | { readonly scope: 'public'; readonly per?: 'principal' | 'scope' }
    | { readonly scope?: Scope; readonly per: 'principal' | 'scope' }
  )

/** How answers of a route are cached. */
interface CachedRuleOptions {
  /** How long an answer may be given again. */
  readonly ttl: Duration
  /** What invalidates it: known before, or told from the answer. At most 64. */
  readonly tags?: Tags
  /** Request headers that the answer depends on; they are named in `Vary`. */
  readonly vary?: readonly string[]
  /** Parameters of the query that the answer depends on; default all. */
  readonly query?: readonly string[]
  /** How long clients may use it without asking; default not at all (`no-cache`). */
  readonly maxAge?: Duration
  /** How long a stale answer may be given while a new one is made, or cannot be. Default the cache's. */
  readonly grace?: Duration
  /** Default [200]; from 200 to 499, not 206 and 304. */
  readonly statuses?: readonly number[]
  /** Bytes of the body; a longer one passes, and is not kept. Default 262,144. */
  readonly maxBytes?: number
  /** A client may ask for a new answer by `Cache-Control: no-cache`. Default false. */
  readonly honourNoCache?: boolean
}

/** Who may ask how often. One object at two places of a request counts once. */
export interface RateRule {
  /** A name of `createHttp({ limiters })`. */
  readonly limiter: string
  /**
   * Whose requests are counted together. 'principal' (default): the user's; without one, those of the address. 'address':
   * those of a v4 address or of a /56 of v6, before authentication. A function: those with the same answer.
   */
  readonly by?: 'address' | 'principal' | ((x: Exchange) => string)
  /** Units that a request takes; default 1. 0 takes none, and asks whether there is one. */
  readonly cost?: number
  /** Default: the scope of http, which before authentication may not know one yet: 'public' for all tenants together. */
  readonly scope?: Scope
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
  readonly cached: CheckedCachedRule | undefined
  readonly etag: RoutePolicy['etag']
  readonly invalidates: CheckedInvalidatesRule | undefined
  /** At least one. */
  readonly rateLimit: readonly CheckedRateRule[] | undefined
  readonly audited: CheckedAuditedRule | undefined
  readonly allowIps: readonly string[] | undefined
  readonly deadline: number | undefined
  readonly deprecated: Deprecation | undefined
  readonly receive: Verifier | undefined
  readonly signed: RequestVerifier | undefined
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
  /** 'receive': the key is the webhook's, and only a success is kept. */
  readonly preset: 'stripeV1' | 'receive' | undefined
}

export interface CheckedCachedRule {
  readonly ttl: number
  readonly per: 'principal' | 'scope' | undefined
  readonly scope: Scope | undefined
  readonly tags: Tags | undefined
  readonly vary: readonly string[]
  readonly query: readonly string[] | undefined
  readonly maxAge: number | undefined
  readonly grace: number | undefined
  readonly statuses: readonly number[]
  readonly maxBytes: number
  readonly honourNoCache: boolean
  readonly etag: 'weak' | 'strong' | false
}

export interface CheckedRateRule {
  /** Which of all rules it is. */
  readonly given: RateRule
  readonly name: string
  readonly limiter: LimiterLike
  /** In front of the names of its quotas, where several limiters tell of theirs. */
  readonly prefix: string
  readonly by: NonNullable<RateRule['by']>
  readonly cost: number
  readonly scope: Scope | undefined
}

export interface CheckedAuditedRule {
  /** Which of all rules it is. */
  readonly given: AuditedRule
  readonly action: string
  readonly target: AuditedRule['target']
  readonly required: boolean
  readonly scope: Scope | undefined
}

export interface CheckedInvalidatesRule {
  readonly tags: Tags
  readonly scope: Scope | undefined
}

const POLICY = {
  idempotent: OBJECT,
  cached: OBJECT,
  etag: opt.custom<'weak' | 'strong' | false>("'weak', 'strong' or false", isOneOf('weak', 'strong', false)),
  invalidates: opt.custom<InvalidatesRule>(
    'an array of tags, a function or an object',
    (given) => typeof given === 'function' || (typeof given === 'object' && given !== null),
  ),
  transactional: opt.boolean(false),
  allowIps: opt.custom<readonly string[]>(
    'an array of addresses and CIDR ranges, v4 or v6, at least one',
    (given) => isAddressList(given) && given.length > 0,
  ),
  rateLimit: opt.custom<RateRule | readonly RateRule[]>(
    'an object, or an array of at least one',
    (given) => typeof given === 'object' && given !== null && (!Array.isArray(given) || given.length > 0),
  ),
  audited: OBJECT,
  deadline: opt.duration(undefined, { min: 1, max: '24h' }),
  deprecated: OBJECT,
  receive: OBJECT,
  signed: OBJECT,
}

const scope = opt.custom<Scope>(
  'a scope of 1 to 128 bytes without control characters, or a function',
  (given) => typeof given === 'function' || isScope(given),
)
const tags = opt.custom<Tags>(
  'an array of tags or a function',
  (given) => typeof given === 'function' || isListOf(given, isString),
)
const names = 'an array of names'

const CACHED = {
  ttl: opt.required(opt.duration(undefined, { min: 1 })),
  per: opt.custom<'principal' | 'scope'>("'principal' or 'scope'", isOneOf('principal', 'scope')),
  scope,
  tags,
  vary: opt.custom<readonly string[]>(names, (given) => isListOf(given, isName), []),
  query: opt.custom<readonly string[]>(names, (given) => isListOf(given, isString)),
  maxAge: opt.duration(),
  grace: opt.duration(),
  statuses: opt.custom<readonly number[]>(
    'an array of 200 to 499 without 206 and 304',
    (given) => isListOf(given, isKeptStatus),
    [200],
  ),
  maxBytes: opt.integer(262_144),
  honourNoCache: opt.boolean(false),
}

const RATE = {
  limiter: opt.required(opt.string()),
  by: opt.custom<NonNullable<RateRule['by']>>(
    "'address', 'principal' or a function",
    (given) => given === 'address' || given === 'principal' || typeof given === 'function',
    'principal',
  ),
  cost: opt.integer(1),
  scope,
}

const AUDITED = {
  action: opt.required(opt.string()),
  target: opt.fn<NonNullable<AuditedRule['target']>>(),
  required: opt.boolean(false),
  scope,
}

const INVALIDATES = { tags: opt.required(tags), scope }

const IDEMPOTENT = {
  scope,
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
  preset: opt.custom<'stripeV1'>("'stripeV1'", isOneOf('stripeV1')),
}

const RECEIVE = {
  // That of signed requests answers later.
  verifier: opt.required(opt.custom<Verifier>('a Verifier of @keelson/webhooks/verify', isVerifier)),
  source: opt.required(opt.string(undefined, { match: /^[\w.-]{1,64}$/ })),
  scope: opt.required(scope),
  retain: opt.duration('7d', { min: '1s' }),
}

const SIGNED = { verifier: opt.required(opt.port<RequestVerifier>(['verify'])) }

/** What of http a policy can build on. */
export interface Available {
  readonly db: boolean
  readonly idempotency: boolean
  readonly cache: CachesLike | undefined
  readonly audit: AuditLike | undefined
  readonly limiters: Readonly<Record<string, LimiterLike>>
  /** Idempotency on a store that shares its database with the business rows. */
  readonly transaction: boolean
  readonly scope: boolean
  readonly principal: boolean
}

/**
 * Reads a policy once, when its route is made.
 * @throws HttpError OPTION_INVALID that names the rule, the value and what is allowed or missing.
 */
export function checkPolicy(policy: RoutePolicy, available: Available): CheckedPolicy {
  const checked = checkOptions('policy', policy, POLICY, optionFailure)
  const { idempotent, deprecated, cached, invalidates, rateLimit, audited, receive, signed, ...rest } = checked
  const { transactional } = rest
  // A signature says who it is.
  const has = { ...available, principal: available.principal || signed !== undefined }
  if (transactional && !has.db) throw optionFailure('policy: "transactional" needs createHttp({ db })')
  const read = (cached && 'cached') ?? (rest.etag ? 'etag' : undefined)
  const claims = (receive && 'receive') ?? (idempotent && 'idempotent')
  const write = claims ?? (invalidates && 'invalidates') ?? (transactional && 'transactional')
  if (receive && idempotent) throw optionFailure('policy: "receive" has a key of its own: leave "idempotent" out')
  if (claims) checkCore(claims, transactional, has)
  if (read && write) throw optionFailure(`policy: "${read}" is for reads, "${write}" for writes: give one of them`)
  const key = (receive && keyOf(receive)) ?? (idempotent && checkIdempotent(idempotent, transactional, has))
  const hasTenant = { ...has, scope: has.scope || (key ?? (cached as CachedRule | undefined))?.scope !== undefined }
  return {
    ...rest,
    cached: cached && { ...checkCached(cached, has), etag: rest.etag ?? 'weak' },
    invalidates: invalidates && checkInvalidates(invalidates, transactional, has),
    rateLimit: rateLimit && checkRates([rateLimit].flat(), has),
    deprecated: deprecated === undefined ? undefined : checkDeprecation(deprecated),
    idempotent: key,
    audited: audited && checkAudited(audited as AuditedRule, transactional, hasTenant),
    receive: receive && (receive as ReceiveRule).verifier,
    signed: signed && checkOptions('policy: signed', signed, SIGNED, optionFailure).verifier,
  }
}

function checkCore(name: string, transactional: boolean, has: Available): void {
  if (!has.idempotency) throw optionFailure(`policy: "${name}" needs createHttp({ idempotency })`)
  if (!transactional || has.transaction) return
  throw optionFailure(`policy: "${name}" with "transactional" needs idempotency on a store such as postgresStore`)
}

/** A webhook is one effect per message of its source, whoever else asks. */
function keyOf(receive: object): CheckedIdempotentRule {
  const { source, scope, retain } = checkOptions('policy: receive', receive, RECEIVE, optionFailure)
  const own = { key: undefined, wait: undefined, preset: 'receive' } as const
  return {
    ...own,
    scope,
    retain,
    operation: `webhook:${source}`,
    share: true,
    required: true,
    header: '',
    fingerprint: 'raw',
  }
}

function checkIdempotent(idempotent: object, transactional: boolean, has: Available): CheckedIdempotentRule {
  const rule = checkOptions('policy: idempotent', idempotent, IDEMPOTENT, optionFailure)
  if (transactional && rule.preset !== undefined) {
    throw optionFailure('policy: idempotent: "preset" is not for a transactional route: its 5xx leave nothing')
  }
  if (rule.scope === undefined && !has.scope) {
    throw noScope('idempotent')
  }
  if (rule.key !== undefined && (idempotent as IdempotentRule).header !== undefined) {
    throw optionFailure('policy: idempotent: give "header" or "key", not both')
  }
  return rule
}

function checkCached(given: object, has: Available): Omit<CheckedCachedRule, 'etag'> {
  const rule = checkOptions('policy: cached', given, CACHED, optionFailure)
  needsCache('cached', rule, has)
  if (rule.per === undefined && rule.scope !== 'public')
    throw optionFailure("policy: cached: \"per\" is required: 'principal', or 'scope' to share")
  if (rule.per === 'principal' && !has.principal)
    throw optionFailure('policy: cached: "per: \'principal\'" needs createHttp({ principal })')
  const { ttl, grace, tags } = rule
  tried('cached', () => {
    cacheOf(has).wrap('http', async () => 0, { ttl, grace, tags } as EntryOptions)
  })
  return rule
}

const cacheOf = (has: Available): Cache => has.cache!.scope('public')

/** A core knows its own limits. */
function tried(name: string, call: () => void): void {
  try {
    call()
  } catch (error) {
    throw optionFailure(`policy: ${name}: ${(error as Error).message}`)
  }
}

function checkInvalidates(given: InvalidatesRule, transactional: boolean, has: Available): CheckedInvalidatesRule {
  const isRule = typeof given === 'object' && 'tags' in given
  const rule = checkOptions('policy: invalidates', isRule ? given : { tags: given }, INVALIDATES, optionFailure)
  needsCache('invalidates', rule, has)
  tried('invalidates', () => {
    const { statements } = cacheOf(has).drop(...(typeof rule.tags === 'function' ? ['http'] : rule.tags))
    if (transactional && !statements) throw new Error('"transactional" needs createCache({ log })')
  })
  return rule
}

function checkAudited(given: AuditedRule, transactional: boolean, has: Available): CheckedAuditedRule {
  const rule = checkOptions('policy: audited', given, AUDITED, optionFailure)
  const { audit } = has
  if (audit === undefined) throw optionFailure('policy: "audited" needs createHttp({ audit })')
  if (rule.scope === undefined && !has.scope) throw noScope('audited')
  tried('audited', () => {
    const entry = { scope: 'public', action: rule.action, actor: { type: 'system', id: 'http' } }
    const { statements } = audit.entry({ ...entry, data: { status: 200 } })
    if (transactional && !statements)
      throw new Error('"transactional" needs createAudit() on a store such as postgresStore')
  })
  return { ...rule, given }
}

function checkRates(given: readonly RateRule[], has: Available): readonly CheckedRateRule[] {
  const isOneLimiter = new Set(given.map((one) => one?.limiter)).size === 1
  return given.map((one) => {
    const { limiter: name, ...rule } = checkOptions('policy: rateLimit', one, RATE, optionFailure)
    const limiter = Object.hasOwn(has.limiters, name) ? has.limiters[name] : undefined
    if (limiter === undefined) {
      const known = Object.keys(has.limiters).join(', ') || 'none'
      throw optionFailure(
        `policy: rateLimit: "limiter" must be one of createHttp({ limiters }): ${known} (got '${name}')`,
      )
    }
    if (rule.by === 'principal' && !has.principal)
      throw optionFailure('policy: rateLimit: "by: \'principal\'" needs createHttp({ principal })')
    if (rule.scope === undefined && !has.scope) throw noScope('rateLimit')
    return { ...rule, given: one, name, limiter, prefix: isOneLimiter ? '' : `${name}.` }
  })
}

function needsCache(name: string, rule: { readonly scope: Scope | undefined }, has: Available): void {
  if (has.cache === undefined) throw optionFailure(`policy: "${name}" needs createHttp({ cache })`)
  if (rule.scope === undefined && !has.scope) throw noScope(name)
}

function noScope(name: string): Error {
  return optionFailure(`policy: ${name}: "scope" is required here or in createHttp; write 'public' to share`)
}

function isVerifier(given: unknown): boolean {
  const { scheme, verify } = Object(given) as Partial<Verifier>
  return typeof verify === 'function' && typeof scheme === 'string'
}

function isOperation(given: unknown): boolean {
  return typeof given === 'string' && given.length >= 1 && given.length <= 512 && isPlainText(given)
}

function isOneOf(...values: readonly unknown[]) {
  return (given: unknown): boolean => values.includes(given)
}

function isListOf(given: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(given) && given.length > 0 && given.every(isOne)
}

function isString(given: unknown): boolean {
  return typeof given === 'string'
}

function isName(given: unknown): boolean {
  return typeof given === 'string' && HEADER_NAME.test(given)
}

function isKeptStatus(given: unknown): boolean {
  return (
    Number.isInteger(given) && given !== 206 && given !== 304 && (given as number) >= 200 && (given as number) < 500
  )
}
