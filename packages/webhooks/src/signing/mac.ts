import { createHash, hash } from 'node:crypto'

/**
 * A key of HMAC-SHA256 (RFC 2104): what is hashed before a message, and before the hash of it. For who signs small
 * messages all the time: an Hmac of node:crypto costs twice as much as the hashes that it is made of.
 */
export interface MacKey {
  readonly inner: Uint8Array
  readonly outer: Uint8Array
}

const BLOCK = 64
const SHA256 = 32
const LONGEST_HEAD = 1_024
/** To copy more would cost more than it saves. */
const SMALL = 8_192

/** Filled and read in one go, so one of each is enough. */
const front = Buffer.alloc(BLOCK + LONGEST_HEAD + SMALL)
const back = Buffer.alloc(BLOCK + SHA256)

export function macKey(bytes: Uint8Array): MacKey {
  const key = Buffer.alloc(BLOCK)
  key.set(bytes.length > BLOCK ? hash('sha256', bytes, 'buffer') : bytes)
  return { inner: key.map((byte) => byte ^ 0x36), outer: key.map((byte) => byte ^ 0x5c) }
}

/** HMAC of `head`, up to 1,024 characters of ASCII, and `body`, in base64. */
export function mac({ inner, outer }: MacKey, head: string, body: Uint8Array): string {
  front.set(inner)
  const begun = BLOCK + front.write(head, BLOCK, LONGEST_HEAD, 'latin1')
  back.set(outer)
  back.write(hashOf(begun, body), BLOCK, SHA256, 'latin1')
  return hash('sha256', back, 'base64')
}

/** Of what `front` begins with, and the body: a small one is copied there, so that one call does all of it. */
function hashOf(begun: number, body: Uint8Array): string {
  if (body.length > SMALL) {
    return createHash('sha256').update(front.subarray(0, begun)).update(body).digest('binary')
  }
  front.set(body, begun)
  return hash('sha256', front.subarray(0, begun + body.length), 'binary')
}
