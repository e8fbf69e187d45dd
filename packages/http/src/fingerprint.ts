import type { Fingerprint } from '@keelson/idempotency'
import { builtin } from './builtin.ts'

/** What of a request a repeat must match. */
export interface RequestContent {
  readonly query: URLSearchParams
  /** As received; '' without one. */
  readonly contentType: string
  readonly body: Uint8Array
}

/** Every byte counts: sha256 over query, content type and body, each behind its length. */
export function rawFingerprint({ query, contentType, body }: RequestContent): Fingerprint {
  const search = query.toString()
  const searchBytes = Buffer.byteLength(search)
  const typeBytes = Buffer.byteLength(contentType)
  // Small bodies are hashed in one call, which costs a third; of large ones no copy is made.
  const head = Buffer.allocUnsafe(24 + searchBytes + typeBytes + (body.length <= SMALL_BYTES ? body.length : 0))
  let at = writeLength(head, searchBytes, 0)
  at += head.write(search, at)
  at = writeLength(head, typeBytes, at)
  at += head.write(contentType, at)
  at = writeLength(head, body.length, at)
  if (body.length > SMALL_BYTES)
    return { alg: 'raw', digest: builtin.crypto.createHash('sha256').update(head).update(body).digest() }
  head.set(body, at)
  return { alg: 'raw', digest: builtin.crypto.hash('sha256', head, 'buffer') }
}

const SMALL_BYTES = 16_384

/** As 64 bits, big-endian. Returns where it ends. */
function writeLength(bytes: Buffer, length: number, at: number): number {
  bytes.writeUInt32BE(Math.floor(length / 2 ** 32), at)
  return bytes.writeUInt32BE(length >>> 0, at + 4)
}

/** The bytes that an application chose. */
export function customFingerprint(bytes: Uint8Array): Fingerprint {
  return { alg: 'custom', digest: builtin.crypto.hash('sha256', bytes, 'buffer') }
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
    return { sha256: builtin.crypto.hash('sha256', body) }
  }
}
