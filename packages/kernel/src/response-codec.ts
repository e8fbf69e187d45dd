import { KernelError } from './kernel-error.ts'
import type { StoredResponse } from './reply.ts'

/** Values as bytes for a store. `decode(encode(v))` is what the first caller gets too, so first answer and replay are equal. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

const VERSION = 1
const encoder = new TextEncoder()
// A byte order mark is a character like any other.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A StoredResponse as bytes, version 1, numbers big-endian: version u8, status u16, number of headers u16, then per
 * header name length u16, name, value length u32, value (UTF-8), and the body to the end.
 * Decoding anything else throws KernelError ANSWER_CORRUPT.
 */
export const responseCodec: Codec<StoredResponse> = { encode, decode }

function encode(response: StoredResponse): Uint8Array {
  const headers = response.headers.map(([name, value]) => [encoder.encode(name), encoder.encode(value)] as const)
  const headerBytes = headers.reduce((sum, [name, value]) => sum + 6 + name.length + value.length, 0)
  const bytes = new Uint8Array(5 + headerBytes + response.body.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, VERSION)
  view.setUint16(1, response.status)
  view.setUint16(3, headers.length)
  let at = 5
  for (const [name, value] of headers) {
    view.setUint16(at, name.length)
    bytes.set(name, at + 2)
    at += 2 + name.length
    view.setUint32(at, value.length)
    bytes.set(value, at + 4)
    at += 4 + value.length
  }
  bytes.set(response.body, at)
  return bytes
}

function decode(bytes: Uint8Array): StoredResponse {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (view.getUint8(0) !== VERSION) throw new RangeError(`version ${view.getUint8(0)}, known is ${VERSION}`)
    const status = view.getUint16(1)
    const count = view.getUint16(3)
    let at = 5
    const text = (length: number): string => {
      if (at + length > bytes.length) throw new RangeError('it ends early')
      const part = decoder.decode(bytes.subarray(at, at + length))
      at += length
      return part
    }
    const headers: [string, string][] = []
    for (let i = 0; i < count; i++) {
      const nameLength = view.getUint16(at)
      at += 2
      const name = text(nameLength)
      const valueLength = view.getUint32(at)
      at += 4
      headers.push([name, text(valueLength)])
    }
    // A copy: pg hands out views of a larger buffer.
    return { status, headers, body: new Uint8Array(bytes.subarray(at)) }
  } catch (cause) {
    throw new KernelError('ANSWER_CORRUPT', `stored answer cannot be read: ${(cause as Error).message}`, { cause })
  }
}
