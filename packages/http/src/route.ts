import type { TransactionCall } from '@keelson/idempotency'
import { context, isScope, type KeelsonContext, type Principal, type StoredResponse } from '@keelson/kernel'
import { rawBodyUnavailable } from './body-tap.ts'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import { customFingerprint, jsonInput, rawFingerprint } from './fingerprint.ts'
import { guardedWrite } from './guarded-write.ts'
import { checkOwnKey, keyMissing, parseIdempotencyKey } from './idempotency-key.ts'
import { operationName } from './operation-name.ts'
import type { Work } from './operation.ts'
import type { CheckedOptions } from './options.ts'
import { checkPolicy, type CheckedIdempotentRule, type RoutePolicy, type Scope } from './policy.ts'
import { isHttpProblem } from './problem.ts'
import { unguardedWrite } from './unguarded-write.ts'

/** A compiled policy: what an adapter calls, in this order. An answer ends the request; undefined goes on. */
export interface Route {
  readonly policy: RoutePolicy
  /** Before authentication. */
  early(x: Exchange): Promise<StoredResponse | undefined>
  /** After authentication and body parsing. */
  late(x: Exchange): Promise<StoredResponse | undefined>
  /** After `late`: with tenant and principal. The handler runs inside `context.run(route.context(x), ...)`. */
  context(x: Exchange): KeelsonContext
  /** Only of a transactional route: runs the handler, inside its context, and answers what to send. */
  transact?(x: Exchange, work: Work): Promise<StoredResponse>
}

/** What a route has from its http. */
export interface RouteParts {
  readonly options: CheckedOptions
  /** The context of a request that began, and undefined for one that http has not seen. */
  begun(x: Exchange): KeelsonContext | undefined
  /** What is answered to a refusal. */
  refuse(error: Error, x: Exchange): StoredResponse
  isClosed(): boolean
}

/** @throws HttpError OPTION_INVALID */
export function compileRoute(policy: RoutePolicy, parts: RouteParts): Route {
  const { options: o, begun, refuse, isClosed } = parts
  const { transactional, idempotent } = checkPolicy(policy, {
    db: o.db !== undefined,
    idempotency: o.idempotency !== undefined,
    scope: o.scope !== undefined,
  })
  const calls = new WeakMap<Exchange, Promise<TransactionCall | undefined>>()

  /** The call under the request's key, read once; undefined without a key. */
  function callOf(x: Exchange): Promise<TransactionCall | undefined> {
    let call = calls.get(x)
    if (call === undefined) calls.set(x, (call = idempotent === undefined ? NO_CALL : readCall(x, idempotent, o)))
    return call
  }

  /** What stands between the request and its handler. */
  async function check(x: Exchange): Promise<StoredResponse | undefined> {
    if (begun(x) === undefined) throw rawBodyUnavailable()
    if (isClosed()) return refuse(new HttpError('CLOSED', 'this process no longer takes requests'), x)
    try {
      await callOf(x)
      return undefined
    } catch (error) {
      if (isHttpProblem(error) && error.status < 500) return refuse(error, x)
      throw error
    }
  }

  function contextOf(x: Exchange): KeelsonContext {
    const tenant = scopeOf(x, idempotent?.scope ?? o.scope)
    const principal = principalOf(x, o)
    return {
      ...begun(x),
      ...(isScope(tenant) ? { tenant } : {}),
      ...(principal === undefined ? {} : { principal }),
    }
  }

  async function transact(x: Exchange, work: Work): Promise<StoredResponse> {
    const refusal = await check(x)
    if (refusal !== undefined) return refusal
    const call = await callOf(x)
    const known = contextOf(x)
    return context.run(known, async () => {
      if (call === undefined) {
        const op = operationName(x.method, x.path)
        return unguardedWrite(o.db!, { ...o, op, scope: known.tenant }, work)
      }
      const result = await guardedWrite(o.idempotency!, call, work, o.correlation.header)
      return 'refusal' in result ? refuse(result.refusal, x) : result.response
    })
  }

  return {
    policy,
    // No rule has its place here yet.
    early: async () => undefined,
    late: check,
    context: contextOf,
    ...(transactional ? { transact } : {}),
  }
}

const NO_CALL = Promise.resolve(undefined)

/**
 * The call under the request's key.
 * @throws HttpProblem for a key or body that cannot be read; HttpError SCOPE_INVALID, INPUT_INVALID, RAW_BODY_UNAVAILABLE
 */
async function readCall(
  x: Exchange,
  rule: CheckedIdempotentRule,
  o: CheckedOptions,
): Promise<TransactionCall | undefined> {
  const key = await readKey(x, rule)
  if (key === undefined && rule.required) throw keyMissing()
  if (key === undefined) return undefined
  const scope = scopeOf(x, rule.scope ?? o.scope)
  if (!isScope(scope)) {
    throw new HttpError(
      'SCOPE_INVALID',
      '"scope" must answer 1 to 128 bytes without control characters for a request with an idempotency key',
    )
  }
  const by = rule.share ? undefined : principalOf(x, o)?.id
  return {
    scope,
    op: rule.operation ?? operationName(x.method, x.path),
    key,
    ...(by === undefined ? {} : { by }),
    ...(await readContent(x, rule.fingerprint)),
    ...(rule.retain === undefined ? {} : { retain: rule.retain }),
    ...(rule.wait === undefined ? {} : { wait: rule.wait }),
    retries: o.retries,
    signal: x.signal,
  }
}

async function readKey(x: Exchange, { header, key }: CheckedIdempotentRule): Promise<string | undefined> {
  if (key !== undefined) {
    const own = await key(x)
    return typeof own === 'string' ? checkOwnKey(own) : own
  }
  const lines = x.headerLines(header)
  return lines.length === 0 ? undefined : parseIdempotencyKey(lines)
}

async function readContent(
  x: Exchange,
  rule: CheckedIdempotentRule['fingerprint'],
): Promise<Pick<TransactionCall, 'input' | 'fingerprint'>> {
  if (typeof rule === 'function') {
    const bytes: unknown = await rule(x)
    if (!(bytes instanceof Uint8Array)) throw new HttpError('INPUT_INVALID', '"fingerprint" must answer a Uint8Array')
    return { fingerprint: customFingerprint(bytes) }
  }
  const contentType = x.header('content-type') ?? ''
  const content = { query: x.searchParams, contentType, body: await x.rawBody() }
  return rule === 'raw' ? { fingerprint: rawFingerprint(content) } : { input: jsonInput(content) }
}

function scopeOf(x: Exchange, scope: Scope | CheckedOptions['scope']): unknown {
  return typeof scope === 'function' ? scope(x) : scope
}

/** @throws HttpError INPUT_INVALID for a principal without an id: its owner could be anybody. */
function principalOf(x: Exchange, o: CheckedOptions): Principal | undefined {
  const principal = o.principal?.(x) as Partial<Principal> | null | undefined
  if (principal === undefined || principal === null) return undefined
  if (typeof principal.id === 'string' && principal.id !== '') return principal as Principal
  throw new HttpError('INPUT_INVALID', '"principal" must answer { id: string } or undefined')
}
