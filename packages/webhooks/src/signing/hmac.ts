import { createHmac, type KeyObject } from 'node:crypto'

/** HMAC-SHA256 of `head` and `body`, as they come one after the other: a body is never copied. */
export function hmac(key: KeyObject, head: string, body: Uint8Array, encoding: 'base64' | 'hex'): string {
  const mac = createHmac('sha256', key)
  if (head !== '') mac.update(head)
  return mac.update(body).digest(encoding)
}
