/** What each character of hexadecimal digits is worth. */
const DIGITS = new Uint8Array(128)
for (let value = 0; value < 16; value++) DIGITS[value.toString(16).charCodeAt(0)] = value

/** An id as 16 bytes. Its dashes stand behind 4, 6, 8 and 10 of them. */
export function writeId(id: string, into: Uint8Array, at: number): void {
  let from = 0
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) from++
    into[at + i] = (DIGITS[id.charCodeAt(from) & 127]! << 4) | DIGITS[id.charCodeAt(from + 1) & 127]!
    from += 2
  }
}

export function idBytes(id: string): Buffer {
  const bytes = Buffer.alloc(16)
  writeId(id, bytes, 0)
  return bytes
}

export function readId(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** When a UUIDv7 was made. */
export function msOfId(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return (high >>> 0) * 0x1_0000 + ((bytes[at + 4]! << 8) | bytes[at + 5]!)
}
