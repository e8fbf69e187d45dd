import type { Call } from '@keelson/idempotency'
import { isScope } from '@keelson/kernel'
import { HttpError, scopeInvalid } from './error.ts'
import type { Exchange } from './exchange.ts'
import { customFingerprint, jsonInput, rawFingerprint } from './fingerprint.ts'
import { checkOwnKey, keyMissing, parseIdempotencyKey } from './idempotency-key.ts'
import { operationName } from './operation-name.ts'
import type { CheckedOptions } from './options.ts'
import { principalOf, scopeOf } from './owner.ts'
import type { CheckedIdempotentRule } from './policy.ts'

/**
 * The call under the request's key.
 * @throws HttpProblem for a key or body that cannot be read; HttpError SCOPE_INVALID, INPUT_INVALID, RAW_BODY_UNAVAILABLE
 */
export async function readCall(x: Exchange, rule: CheckedIdempotentRule, o: CheckedOptions): Promise<Call | undefined> {
  const key = await readKey(x, rule)
  if (key === undefined && rule.required) throw keyMissing()
  if (key === undefined) return undefined
  const scope = scopeOf(x, rule.scope ?? o.scope)
  if (!isScope(scope)) throw scopeInvalid('a request with an idempotency key')
  const by = rule.share ? undefined : principalOf(x, o)?.id
  return {
    scope,
    op: rule.operation ?? operationName(x.method, x.path),
    key,
    ...(by === undefined ? {} : { by }),
    ...(await readContent(x, rule.fingerprint)),
    ...(rule.retain === undefined ? {} : { retain: rule.retain }),
    ...(rule.wait === undefined ? {} : { wait: rule.wait }),
    signal: () => x.signal,
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
): Promise<Pick<Call, 'input' | 'fingerprint'>> {
  if (typeof rule === 'function') {
    const bytes: unknown = await rule(x)
    if (!(bytes instanceof Uint8Array)) throw new HttpError('INPUT_INVALID', '"fingerprint" must answer a Uint8Array')
    return { fingerprint: customFingerprint(bytes) }
  }
  const contentType = x.header('content-type') ?? ''
  const content = { query: x.searchParams, contentType, body: await x.rawBody() }
  return rule === 'raw' ? { fingerprint: rawFingerprint(content) } : { input: jsonInput(content) }
}
