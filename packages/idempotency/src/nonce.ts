/** A claim's 16 bytes as the UUID that operators and effects see, and back. */
export function operationIdOf(nonce: Uint8Array): string {
  const hex = Buffer.from(nonce.buffer, nonce.byteOffset, nonce.byteLength).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The 16 bytes of a UUID. */
export function nonceOf(operationId: string): Uint8Array {
  return Buffer.from(operationId.replaceAll('-', ''), 'hex')
}
