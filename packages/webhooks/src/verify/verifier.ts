/** Headers of Node, of a framework or of `fetch`; names in any case. */
export type VerifyHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

/** A request as it came in. */
export interface VerifyInput {
  /** The raw bytes; a string is taken as UTF-8. */
  readonly body: Uint8Array | string
  readonly headers: VerifyHeaders
  /** Only `httpSignature` needs method and url. */
  readonly method?: string
  /** Absolute, or as it stands in the request; then the authority is the Host header's. */
  readonly url?: string
}

/** A message whose signature is good. */
export interface Verified {
  /** The sender's id of it, the same in each of its attempts; null where there is none. */
  readonly id: string | null
  /** When this attempt was signed. */
  readonly timestamp: Date | null
  readonly type: string | null
  /** The bytes as they came, not copied. */
  readonly body: Uint8Array
  /** Index of the secret that matched; public keys count on behind the secrets. */
  readonly secret: number
  /** `id`, else the hex SHA-256 of the body. */
  readonly dedupeKey: string
  /**
   * The body, parsed when first asked for.
   * @throws WebhookError PAYLOAD_NOT_JSON
   */
  json(): any
}

/** One way in which webhooks are signed. */
export interface Verifier {
  readonly scheme: string
  /** Lower-case names of the headers that hold the signature: `anyOf` goes by them. */
  readonly signatureHeaders: readonly string[]
  /**
   * The message, when one of the secrets signed it.
   * @throws WebhookError with a code of the README's list
   */
  verify(request: VerifyInput): Verified
}
