import type { Codec } from '@keelson/kernel'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Any JSON value as its text in UTF-8; undefined is no bytes. Throws TypeError for what JSON has no form for. */
export const jsonCodec: Codec<unknown> = {
  encode(value) {
    if (value === undefined) return new Uint8Array(0)
    const json: string | undefined = JSON.stringify(value)
    if (json === undefined) throw new TypeError(`a ${typeof value} is no JSON value`)
    return encoder.encode(json)
  },
  decode: (bytes) => (bytes.length === 0 ? undefined : (JSON.parse(decoder.decode(bytes)) as unknown)),
}
