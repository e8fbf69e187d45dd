import type { AuditOptions } from './audit.ts'

/** The texts of the keys that sign now. Without any, a journal in memory has one that lives as long as it does. */
export function createKeys(key: AuditOptions['key']): () => Promise<readonly string[]> {
  let own: string | undefined
  return async () => {
    if (typeof key === 'function') return key()
    if (key !== undefined) return typeof key === 'string' ? [key] : key
    const { generateKey } = await import('./note/keys.ts')
    return [(own ??= generateKey('keelson.memory').signer)]
  }
}
