import { deserialize, serialize } from 'node:v8'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { CacheError } from './error.ts'
import { jsonFault } from './json-fault.ts'

/** How values become bytes and come back equal. */
export interface ValueCodec {
  /** Kept with each entry, 1 to 16 characters a-z, 0-9 and '-': entries of another codec are misses. */
  readonly id: string
  encode(value: unknown): Uint8Array | string
  decode(bytes: Uint8Array): unknown
}

/** A value as a store keeps it. */
interface Encoded {
  readonly codec: string
  readonly body: Uint8Array
}

/** Values to bytes and back: codec, compression, and bytes as they are. */
export interface Values {
  /** An equal value that shares nothing with it. @throws CacheError VALUE_UNSUPPORTED */
  copy(value: unknown): unknown
  /** @throws CacheError VALUE_UNSUPPORTED for what would not come back equal. */
  encode(value: unknown): Encoded
  /** @throws whatever is wrong with the bytes: they are foreign, or of another version. */
  decode(codec: string, body: Uint8Array): unknown
}

const RAW = 'raw'
/** A Buffer is bytes, too, but its methods are others. */
const BUFFER = 'buffer'
/** Follows the id of a codec. */
const ZSTD = '+zstd'
/** A stored body that claims to be larger when unpacked is not ours. */
const MAX_UNPACKED_BYTES = 512 * 1_048_576
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const json: ValueCodec = {
  id: 'json',
  encode(value) {
    const fault = jsonFault(value)
    if (fault !== undefined) throw unsupported(fault)
    return JSON.stringify(value)
  },
  decode: (bytes) => JSON.parse(decoder.decode(bytes)) as unknown,
}

const v8: ValueCodec = {
  id: 'v8',
  encode(value) {
    try {
      return serialize(value)
    } catch (cause) {
      throw unsupported((cause as Error).message, cause)
    }
  },
  decode: (bytes) => deserialize(bytes) as unknown,
}

/** True for what `createCache` takes as a codec. */
export function isValueCodec(given: unknown): given is ValueCodec {
  const { id, encode, decode } = (given ?? {}) as Partial<ValueCodec>
  return (
    typeof id === 'string' &&
    /^[a-z0-9-]{1,16}$/.test(id) &&
    ![RAW, BUFFER, 'json', 'v8'].includes(id) &&
    typeof encode === 'function' &&
    typeof decode === 'function'
  )
}

export function createValues(given: 'json' | 'v8' | ValueCodec, compressAbove: number | false): Values {
  const codec = given === 'json' ? json : given === 'v8' ? v8 : given

  function plain(value: unknown): Encoded {
    if (value instanceof Uint8Array) return { codec: Buffer.isBuffer(value) ? BUFFER : RAW, body: value }
    const body = codec.encode(value)
    return { codec: codec.id, body: typeof body === 'string' ? encoder.encode(body) : body }
  }

  function decoded(id: string, bytes: Uint8Array): unknown {
    if (id === RAW) return new Uint8Array(bytes)
    if (id === BUFFER) return Buffer.from(bytes)
    if (id !== codec.id) throw new Error(`an entry of codec '${id}'`)
    return codec.decode(bytes)
  }

  return {
    copy(value) {
      const { codec: id, body } = plain(value)
      return decoded(id, body)
    },
    encode(value) {
      const encoded = plain(value)
      if (compressAbove === false || encoded.body.length <= compressAbove) return encoded
      const body = zstdCompressSync(encoded.body)
      return body.length < encoded.body.length ? { codec: encoded.codec + ZSTD, body } : encoded
    },
    decode(id, body) {
      const packed = id.endsWith(ZSTD)
      const bytes = packed ? zstdDecompressSync(body, { maxOutputLength: MAX_UNPACKED_BYTES }) : body
      const name = packed ? id.slice(0, -ZSTD.length) : id
      return decoded(name, bytes)
    },
  }
}

function unsupported(why: string, cause?: unknown): CacheError {
  return new CacheError('VALUE_UNSUPPORTED', `this value would not come back equal from a cache: ${why}`, { cause })
}
