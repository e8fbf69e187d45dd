import { canonicalJson } from './canonical-json.ts'
import { IdempotencyError } from './error.ts'
import { sha256 } from './sha256.ts'

/** What a repeat must match. Fingerprints of different `alg` are not comparable and count as equal. */
export interface Fingerprint {
  readonly alg: 'raw' | 'json' | 'multipart' | 'custom'
  /** 32 bytes. */
  readonly digest: Uint8Array
}

const ALGS = new Set(['raw', 'json', 'multipart', 'custom'])

/**
 * sha256 over the RFC 8785 form of a JSON value: the order of members and the spelling of numbers do not matter.
 * @throws IdempotencyError INPUT_NOT_HASHABLE with the path of what is not JSON.
 */
export function fingerprintOf(input: unknown): Fingerprint {
  return { alg: 'json', digest: sha256(canonicalJson(input)) }
}

/** @throws IdempotencyError FINGERPRINT_INVALID */
export function checkFingerprint(given: unknown): Fingerprint {
  const { alg, digest } = (given ?? {}) as Partial<Fingerprint>
  if (typeof alg === 'string' && ALGS.has(alg) && digest instanceof Uint8Array && digest.length === 32) {
    return { alg, digest }
  }
  throw new IdempotencyError(
    'FINGERPRINT_INVALID',
    `"fingerprint" must be { alg: ${[...ALGS].map((name) => `'${name}'`).join(' | ')}, digest: 32 bytes }`,
  )
}

/** True when both say something of the payload, in the same words, and it differs. */
export function differs(a: Fingerprint | undefined, b: Fingerprint | undefined): boolean {
  if (a === undefined || b === undefined || a.alg !== b.alg) return false
  return Buffer.compare(a.digest, b.digest) !== 0
}

/** True when both say something of the payload in different words: they count as equal, and are counted. */
export function isSkipped(a: Fingerprint | undefined, b: Fingerprint | undefined): boolean {
  return a !== undefined && b !== undefined && a.alg !== b.alg
}
