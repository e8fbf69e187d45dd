export { createCache } from './create-cache.ts'
export type { Caches, CacheStatus } from './caches.ts'
export type { Cache } from './cache.ts'
export type { CacheOptions } from './options.ts'
export type { EntryOptions } from './entry-options.ts'
export type { LoadContext } from './load-context.ts'
export type { Dropped, Lookup } from './lookup.ts'
export type { DropEffect } from './drop-effect.ts'
export type { ValueCodec } from './value-codec.ts'
export { CacheError, type CacheErrorCode } from './error.ts'
export type { Key, KeyPart } from './key.ts'
export { memoryStore } from './memory.ts'
export { keyOf, prefix } from './tag.ts'
export type {
  Bump,
  Bumped,
  BumpMessage,
  CacheStore,
  CacheTier,
  Coherence,
  DropLog,
  DropRow,
  Entry,
  Hit,
  Lease,
  Member,
  MemberEvents,
  Miss,
  ReadOptions,
  Ref,
  Stored,
} from './store.ts'
