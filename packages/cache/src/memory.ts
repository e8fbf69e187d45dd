import type { L1 } from './l1/l1.ts'
import type { CacheStore, CacheTier } from './store.ts'
export function memoryStore(): CacheStore {
  throw new Error('not yet')
}
export function memoryL1(_tier: CacheTier, _limits?: { maxEntries: number; maxBytes: number }): L1 | undefined {
  return undefined
}
