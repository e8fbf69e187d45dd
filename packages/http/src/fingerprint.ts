import { createHash, hash } from 'node:crypto'
import type { Fingerprint } from '@keelson/idempotency'

/** What of a request a repeat must match. */
export interface RequestContent {
  readonly query: URLSearchParams
  /** As received; '' without one. */
  readonly contentType: string
  readonly body: Uint8Array
}

/** Every byte counts: sha256 over query, content type and body, each behind its length. */
export function rawFingerprint({ query, contentType, body }: RequestContent): Fingerprint {
  const sha = createHash('sha256')
  for (const part of [Buffer.from(query.toString()), Buffer.from(contentType), body]) {
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(part.length))
    sha.update(length).update(part)
  }
  return { alg: 'raw', digest: sha.digest() }
}

/** The bytes that an application chose. */
export function customFingerprint(bytes: Uint8Array): Fingerprint {
  return { alg: 'custom', digest: hash('sha256', bytes, 'buffer') }
}

/**
 * The input for the core's canonical fingerprint: order of members, spacing and parameters of the media type do not
 * matter. A body that is no JSON counts by its bytes, so it never equals one that is.
 */
export function jsonInput({ query, contentType, body }: RequestContent): object {
  const mediaType = contentType.split(';', 1)[0]!.trim().toLowerCase()
  return { query: [...query], mediaType, ...readJson(body) }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function readJson(body: Uint8Array): { json: unknown } | { sha256: string } {
  try {
    return { json: JSON.parse(decoder.decode(body)) as unknown }
  } catch {
    return { sha256: hash('sha256', body) }
  }
}
