import { createHmac, hash } from 'node:crypto'

const TAG_BYTES = 8

/** What a scope is called on the wire: 8 bytes of its digest. With a key nobody can find out names by trying. */
export function scopeTag(scope: string, key: Uint8Array | undefined): string {
  const digest = key === undefined ? hash('sha256', scope, 'buffer') : createHmac('sha256', key).update(scope).digest()
  return digest.subarray(0, TAG_BYTES).toString('base64url')
}

/** The same for one request, which speaks of few scopes again and again. */
export function scopeTags(key: Uint8Array | undefined): (scope: string) => string {
  const tags = new Map<string, string>()
  return (scope) => {
    let tag = tags.get(scope)
    if (tag === undefined) tags.set(scope, (tag = scopeTag(scope, key)))
    return tag
  }
}
