export {
  createIdempotency,
  type Idempotency,
  type Exported,
  type IdempotencyStatus,
  type Stuck,
  type TransactionalIdempotency,
} from './idempotency.ts'
export type { Operation } from './transaction.ts'
export type { Checkpoint, Execution } from './execution.ts'
export type { Consumed } from './consume.ts'
export type { WrapOptions } from './wrap.ts'
export type { Place, Protection } from './protection.ts'
export type { Guarantee, IdempotencyOptions } from './options.ts'
export type { Call, RunCall, TransactionCall } from './call.ts'
export type { Ref, RefDigest } from './ref.ts'
export { fingerprintOf, type Fingerprint } from './fingerprint.ts'
export { jsonCodec } from './json-codec.ts'
export { unwrap, type Executed, type Outcome, type RefusalCode, type Refused } from './outcome.ts'
export { IdempotencyError, type IdempotencyErrorCode } from './error.ts'
export { memoryStore } from './memory.ts'
export type {
  Begin,
  Claim,
  Clearing,
  Held,
  IdempotencyStore,
  Limit,
  Own,
  RecordView,
  Settlement,
  SubjectRecord,
  StuckRecord,
  Trace,
  TransactionalStore,
  TransactionClaim,
  TransactionEnd,
  WithinResult,
} from './store.ts'
export { reply, responseCodec, type Codec, type Reply, type StoredResponse } from '@keelson/kernel'
