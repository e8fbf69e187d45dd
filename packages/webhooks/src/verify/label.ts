import { header, malformed } from './header.ts'
import type { VerifyHeaders } from './verifier.ts'

/**
 * A header that names the message beside its signature; null when it is absent.
 * @throws WebhookError MALFORMED_HEADER
 */
export function label(headers: VerifyHeaders, name: string): string | null {
  const value = header(headers, name)
  if (value === undefined) return null
  if (/^[\x21-\x2b\x2d-\x7e]{1,255}$/.test(value)) return value
  throw malformed(name, 'must be 1 to 255 visible characters, without a comma')
}
