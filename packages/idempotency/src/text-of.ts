/** Bytes as text, one a character: as the key of a Map, or as what is kept of them. */
export function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}
