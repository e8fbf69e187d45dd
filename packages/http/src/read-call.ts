import type { Call } from '@keelson/idempotency'
import { isPlainText, isScope } from '@keelson/kernel'
import { builtin } from './builtin.ts'
import { HttpError, scopeInvalid } from './error.ts'
import type { Exchange } from './exchange.ts'
import { customFingerprint, jsonInput, rawFingerprint } from './fingerprint.ts'
import { checkOwnKey, keyMissing, parseIdempotencyKey } from './idempotency-key.ts'
import { operationName } from './operation-name.ts'
import type { CheckedOptions } from './options.ts'
import { principalOf, scopeOf } from './owner.ts'
import type { CheckedIdempotentRule } from './policy.ts'
import type { RequestState } from './request-state.ts'

/**
 * The call under the request's key.
 * @throws HttpProblem for a key or body that cannot be read; HttpError SCOPE_INVALID, INPUT_INVALID, RAW_BODY_UNAVAILABLE
 */
export async function readCall(
  x: Exchange,
  rule: CheckedIdempotentRule,
  o: CheckedOptions,
  { received }: Pick<RequestState, 'received'>,
): Promise<Call | undefined> {
  const isReceived = rule.preset === 'receive'
  const key = isReceived ? shortKey(received!.dedupeKey) : await readKey(x, rule)
  if (key === undefined && rule.required) throw keyMissing()
  if (key === undefined) return undefined
  const scope = scopeOf(x, rule.scope, o)
  if (!isScope(scope)) throw scopeInvalid('a request with an idempotency key')
  const by = rule.share ? undefined : principalOf(x, o)?.id
  return {
    scope,
    op: rule.operation ?? operationName(x.method, x.path),
    key,
    ...(by === undefined ? {} : { by }),
    // Senders change what is beside the message in it: how many attempts there were, what is still pending.
    ...(isReceived ? {} : await readContent(x, rule.fingerprint)),
    ...(rule.retain === undefined ? {} : { retain: rule.retain }),
    ...(rule.wait === undefined ? {} : { wait: rule.wait }),
    signal: () => x.signal,
  }
}

/** A sender's id is any text. */
function shortKey(id: string): string {
  return id.length <= 128 && isPlainText(id) ? id : `sha256:${builtin.crypto.hash('sha256', id)}`
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
