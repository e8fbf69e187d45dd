import type { Headers } from '../exchange.ts'
import { builtin } from '../builtin.ts'
import { headerValues } from '../header-values.ts'

/** The first 128 bits of SHA-256 over the bytes before any coding. */
function etagOf(body: Uint8Array, kind: 'weak' | 'strong'): string {
  const opaque = builtin.crypto.hash('sha256', body, 'buffer').toString('base64url', 0, 16)
  return kind === 'weak' ? `W/"${opaque}"` : `"${opaque}"`
}

/** The handler's own comes first. */
export function withEtag(headers: Headers, body: Uint8Array, kind: 'weak' | 'strong' | false): Headers {
  if (kind === false || headerValues(headers, 'etag').length > 0) return headers
  return [...headers, ['ETag', etagOf(body, kind)]]
}
