/** `audit.sealed` of a document: by pointer, 'v1:<ref>:<base64url of nonce, ciphertext and tag>'. */
export type Sealed = Readonly<Record<string, string>>

/** 12 bytes, at least one and 16. */
const VALUE = /^v1:[A-Za-z0-9_-]{22}:[A-Za-z0-9_-]{39,}$/

export function isSealed(given: unknown): given is Sealed {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false
  return Object.values(given).every((value) => typeof value === 'string' && VALUE.test(value))
}

/** Of the persons whose values they are, each once, in their order. */
export function refsOf(sealed: Sealed): string[] {
  return [...new Set(Object.values(sealed).map((value) => value.split(':', 2)[1]!))]
}
