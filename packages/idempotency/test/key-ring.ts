import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Place, Protection } from '@keelson/idempotency'

/** AES-256-GCM under the first of these keys; opens what any of them has sealed, in its place only. */
export function keyRing(...keys: readonly Uint8Array[]): Protection {
  const bound = ({ scope, ref }: Place): Buffer => Buffer.concat([ref, Buffer.from(scope)])
  const openWith = (key: Uint8Array, sealed: Uint8Array, place: Place): Buffer => {
    const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(bound(place))
    cipher.setAuthTag(sealed.subarray(12, 28))
    return Buffer.concat([cipher.update(sealed.subarray(28)), cipher.final()])
  }
  return {
    async seal(bytes, place) {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', keys[0]!, iv).setAAD(bound(place))
      const sealed = Buffer.concat([cipher.update(bytes), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), sealed])
    },
    open: (sealed, place) => Promise.any(keys.map(async (key) => openWith(key, sealed, place))),
  }
}
