import { WebhookError } from '../error.ts'

/**
 * The bytes that were signed. A parsed body cannot be turned back into them.
 * @throws WebhookError BODY_NOT_RAW
 */
export function rawBody(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body
  if (typeof body === 'string') return Buffer.from(body)
  throw new WebhookError(
    'BODY_NOT_RAW',
    '"body" must be the raw bytes of the request (a Uint8Array, or a string): verify before anything parses it',
  )
}
