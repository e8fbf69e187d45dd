export { CacheError, type CacheErrorCode } from './error.ts'
export type { Key, KeyPart } from './key.ts'
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
