import type { L1 } from './l1/l1.ts'
import type { CacheStore, CacheTier } from './store.ts'
export declare function memoryStore(): CacheStore
export declare function memoryL1(tier: CacheTier, limits?: { maxEntries: number; maxBytes: number }): L1 | undefined
