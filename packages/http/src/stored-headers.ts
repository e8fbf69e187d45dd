type Headers = readonly (readonly [string, string])[]

// They belong to one connection, one moment, one client or one request, not to the answer.
const NOT_STORED = new Set(
  `connection keep-alive te trailer transfer-encoding upgrade content-length
   date age retry-after deprecation sunset cache-status
   set-cookie www-authenticate authentication-info
   idempotent-replayed idempotency-status
   traceparent tracestate x-correlation-id x-request-id x-response-time server-timing`.split(/\s+/),
)
const NOT_STORED_PREFIXES = ['proxy-', 'ratelimit', 'x-ratelimit-', 'access-control-']

/** The headers of an answer that a replay carries too, in order. `correlationHeader` is never one of them. */
export function storedHeaders(headers: Headers, correlationHeader: string): Headers {
  return headers.filter(([given]) => {
    const name = given.toLowerCase()
    if (NOT_STORED.has(name) || name === correlationHeader) return false
    return !NOT_STORED_PREFIXES.some((prefix) => name.startsWith(prefix))
  })
}
