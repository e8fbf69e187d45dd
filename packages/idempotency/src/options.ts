import { checkOptions, opt, silentLogger, systemClock, type Clock, type Duration, type Logger } from '@keelson/kernel'
import { optionFailure } from './error.ts'
import type { TransactionalStore } from './store.ts'

/** What `createIdempotency` takes; durations as ms or '5s'. */
export interface IdempotencyOptions {
  readonly store: TransactionalStore
  /** How long a transaction may stand still before its database ends it; default 15 s. */
  readonly lease?: Duration
  /** How long an answer is kept, from completion; default 24 h. */
  readonly retain?: Duration
  /** How long a duplicate waits for the first call before KEY_IN_USE; default 2 s, 0 not at all. */
  readonly wait?: Duration
  /** How long the store may take to answer a claim; default 250 ms. */
  readonly storeTimeout?: Duration
  /** Larger answers leave a tombstone; default 262,144. */
  readonly maxStoredBytes?: number
  /** `perKey` (100) and `total` (5000) duplicates waiting in this process, and `connections` (4) blocked in a wait. */
  readonly maxWaiters?: { readonly perKey?: number; readonly total?: number; readonly connections?: number }
  readonly clock?: Clock
  readonly logger?: Logger
}

const SPEC = {
  store: opt.required(opt.port<TransactionalStore>(['within', 'health'])),
  lease: opt.duration('15s', { min: '100ms', max: '24d' }),
  retain: opt.duration('24h', { min: '1s', max: '3650d' }),
  wait: opt.duration('2s', { max: '1h' }),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  maxStoredBytes: opt.integer(262_144),
  maxWaiters: opt.group({
    perKey: opt.integer(100),
    total: opt.integer(5_000),
    connections: opt.integer(4),
  }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.port<Logger>(['debug', 'info', 'warn', 'error'], silentLogger),
}

/** The options with their defaults; durations in ms. */
export interface CheckedOptions {
  readonly store: TransactionalStore
  readonly lease: number
  readonly retain: number
  readonly wait: number
  readonly storeTimeout: number
  readonly maxStoredBytes: number
  readonly maxWaiters: { readonly perKey: number; readonly total: number; readonly connections: number }
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws IdempotencyError OPTION_INVALID */
export function checkIdempotencyOptions(options: IdempotencyOptions): CheckedOptions {
  return checkOptions('createIdempotency', options, SPEC, optionFailure)
}
