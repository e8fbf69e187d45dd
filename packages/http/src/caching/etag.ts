import type { Headers } from '../exchange.ts'
import { builtin } from '../builtin.ts'
import { headerValues } from '../header-values.ts'

/** The first 128 bits of SHA-256 over the bytes before any coding. */
function etagOf(body: Uint8Array, kind: 'weak' | 'strong'): string {
  const opaque = builtin.crypto.hash('sha256', body, 'buffer').toString('base64url', 0, 16)
  return kind === 'weak' ? `W/"${opaque}"` : `"${opaque}"`
}

/** The handler's own comes first, but for a weak one where a strong one is asked for: frameworks make them of their own. */
export function withEtag(headers: Headers, body: Uint8Array, kind: 'weak' | 'strong' | false): Headers {
  const [own] = headerValues(headers, 'etag')
  if (kind === false || (own !== undefined && (kind === 'weak' || !own.startsWith('W/')))) return headers
  return [...headers.filter(([name]) => name.toLowerCase() !== 'etag'), ['ETag', etagOf(body, kind)]]
}
