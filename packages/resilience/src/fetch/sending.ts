import { keptBody, keptBodyOf } from './kept-body.ts'

/** What one call of `fetch` sends, at each of its attempts. */
export interface Sending {
  readonly url: URL
  readonly input: string | URL | Request
  readonly init: RequestInit
  readonly headers: Headers
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** Whether it may be sent again, and even twice at once; as `CallOptions.idempotent`. */
  readonly idempotent: boolean | undefined
}

/** RFC 9110, section 9.2.2, without TRACE, which `fetch` refuses. */
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']
const KEYED = ['POST', 'PATCH']
const KEY = 'idempotency-key'

/**
 * Reads the arguments of `fetch`. `makeKey` gives POST and PATCH their key.
 * @throws TypeError for an URL or headers that are none, and for a Request whose body is used.
 */
export async function readSending(
  input: string | URL | Request,
  init: RequestInit = {},
  makeKey: (() => string) | undefined,
): Promise<Sending> {
  const request = input instanceof Request ? input : undefined
  const url = new URL(input instanceof Request ? input.url : input)
  const headers = new Headers(init.headers ?? request?.headers)
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase()
  if (makeKey !== undefined && KEYED.includes(method) && !headers.has(KEY)) headers.set(KEY, makeKey())
  const isIdempotent = IDEMPOTENT.includes(method)
  const isRepeatable = isIdempotent || headers.has(KEY)
  const given = init.body ?? undefined
  const hasBody = given !== undefined || (request !== undefined && request.body !== null)
  const kept = given !== undefined ? keptBody(given) : hasBody && isRepeatable ? await keptBodyOf(request!) : undefined
  if (kept?.type !== undefined && !headers.has('content-type')) headers.set('content-type', kept.type)
  return {
    url,
    input,
    init: { ...referrerOf(request, init), ...init, ...(kept === undefined ? {} : { body: kept.body }) },
    headers,
    signal: init.signal === undefined ? request?.signal : (init.signal ?? undefined),
    // Two at once with one key is a conflict for some servers.
    idempotent: !isRepeatable || (hasBody && kept === undefined) ? false : isIdempotent || undefined,
  }
}

/** A Request loses its referrer to an `init` that has members, and ours always has. */
function referrerOf(request: Request | undefined, init: RequestInit): RequestInit {
  if (request === undefined || Object.keys(init).length > 0) return {}
  return { referrer: request.referrer, referrerPolicy: request.referrerPolicy }
}
