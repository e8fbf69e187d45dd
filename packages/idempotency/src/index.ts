export {
  createIdempotency,
  type Operation,
  type TransactionalIdempotency,
  type TransactionCall,
} from './idempotency.ts'
export type { IdempotencyOptions } from './options.ts'
export type { Call } from './call.ts'
export type { Ref, RefDigest } from './ref.ts'
export { fingerprintOf, type Fingerprint } from './fingerprint.ts'
export { unwrap, type Executed, type Outcome, type RefusalCode, type Refused } from './outcome.ts'
export { IdempotencyError, type IdempotencyErrorCode } from './error.ts'
export type { Held, TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from './store.ts'
export { reply, responseCodec, type Codec, type Reply, type StoredResponse } from '@keelson/kernel'
