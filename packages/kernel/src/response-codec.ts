import { KernelError } from './kernel-error.ts'
import type { StoredResponse } from './reply.ts'

/** Values as bytes for a store. `decode(encode(v))` is what the first caller gets too, so first answer and replay are equal. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

const VERSION = 1
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * A StoredResponse as bytes, version 1, numbers big-endian: version u8, status u16, number of headers u16, then per
 * header name length u16, name, value length u32, value (UTF-8), and the body to the end.
 * Decoding anything else throws KernelError ANSWER_CORRUPT.
 */
export const responseCodec: Codec<StoredResponse> = { encode, decode }

function encode(response: StoredResponse): Uint8Array {
  const { status, headers, body } = response
  let total = 5 + body.length
  for (const [name, value] of headers) total += 6 + Buffer.byteLength(name) + Buffer.byteLength(value)
  const bytes = Buffer.allocUnsafe(total)
  bytes[0] = VERSION
  bytes.writeUInt16BE(status, 1)
  let at = bytes.writeUInt16BE(headers.length, 3)
  for (const [name, value] of headers) {
    const nameBytes = bytes.write(name, at + 2)
    at = bytes.writeUInt16BE(nameBytes, at) + nameBytes
    const valueBytes = bytes.write(value, at + 4)
    at = bytes.writeUInt32BE(valueBytes, at) + valueBytes
  }
  bytes.set(body, at)
  return bytes
}

function decode(bytes: Uint8Array): StoredResponse {
  try {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (buffer.readUInt8(0) !== VERSION) throw new RangeError(`version ${buffer.readUInt8(0)}, known is ${VERSION}`)
    const status = buffer.readUInt16BE(1)
    const count = buffer.readUInt16BE(3)
    let at = 5
    const text = (length: number): string => {
      if (at + length > bytes.length) throw new RangeError('it ends early')
      const part = buffer.toString('utf8', at, at + length)
      // It reads what is no UTF-8 as this character, which may also be one of the text.
      if (part.includes('\ufffd')) decoder.decode(buffer.subarray(at, at + length))
      at += length
      return part
    }
    const headers: [string, string][] = []
    for (let i = 0; i < count; i++) {
      const nameLength = buffer.readUInt16BE(at)
      at += 2
      const name = text(nameLength)
      const valueLength = buffer.readUInt32BE(at)
      at += 4
      headers.push([name, text(valueLength)])
    }
    // A copy: pg hands out views of a larger buffer.
    return { status, headers, body: new Uint8Array(bytes.subarray(at)) }
  } catch (cause) {
    throw new KernelError('ANSWER_CORRUPT', `stored answer cannot be read: ${(cause as Error).message}`, { cause })
  }
}
