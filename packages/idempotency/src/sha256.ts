let crypto: typeof import('node:crypto') | undefined

/** 32 bytes over a text in UTF-8 or bytes. The first call loads node:crypto, which is half of an import's time. */
export function sha256(data: string | Uint8Array): Uint8Array {
  crypto ??= process.getBuiltinModule('node:crypto')
  return crypto.hash('sha256', data, 'buffer')
}
