import type { StoredResponse } from '@keelson/kernel'
import type { Described } from './describe-error.ts'

/** What a problem says of its request. */
export interface ProblemRequest {
  readonly path?: string | undefined
  readonly correlationId?: string | undefined
}

const encoder = new TextEncoder()

/**
 * A described error as `application/problem+json` (RFC 9457). `inside` is what only developers may see: the error's
 * message and stack.
 */
export function problemResponse(
  typeBase: string,
  described: Described,
  request: ProblemRequest,
  inside?: { readonly message: string; readonly stack?: string | undefined },
): StoredResponse {
  const { status, code, retryable, retryAfterMs, title = titleOf(code), detail = inside?.message, extra } = described
  const members = {
    type: typeBase + code,
    title,
    status,
    detail,
    instance: request.path,
    code,
    retryable,
    correlationId: request.correlationId,
  }
  const stack = status >= 500 ? inside?.stack : undefined
  const headers: [string, string][] = [['Content-Type', 'application/problem+json']]
  if (retryAfterMs !== undefined) headers.push(['Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))])
  if (!retryable && status >= 500) headers.push(['X-Retry', 'no'])
  return { status, headers, body: encoder.encode(toJson(members, extra, stack)) }
}

/** Members of its own never replace those of the format; what is no JSON is left out, for an answer must leave. */
function toJson(members: object, extra: object | undefined, stack: string | undefined): string {
  try {
    return JSON.stringify({ ...members, ...extra, ...members, stack })
  } catch {
    return JSON.stringify({ ...members, stack })
  }
}

function titleOf(code: string): string {
  const words = code.replaceAll('-', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
