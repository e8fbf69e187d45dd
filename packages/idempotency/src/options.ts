import {
  checkOptions,
  opt,
  systemClock,
  type Clock,
  type Duration,
  type Logger,
  type ReplayGuard,
} from '@keelson/kernel'
import { optionFailure } from './error.ts'
import type { Protection } from './protection.ts'
import type { IdempotencyStore, TransactionalStore } from './store.ts'

/** What is known of a run whose owner was lost: run it again, or never. */
export type Guarantee = 'at-least-once' | 'at-most-once'

/** What `createIdempotency` takes; durations as ms or '5s'. */
export interface IdempotencyOptions<S extends IdempotencyStore = IdempotencyStore> {
  readonly store: S
  /**
   * What `run()` does when an owner was lost: 'at-least-once' (default) runs again, 'at-most-once' answers
   * OUTCOME_UNKNOWN until somebody resolves it.
   */
  readonly guarantee?: Guarantee
  /** How long a lost owner holds its key; default 15 s, renewed every third of it. Of `transaction()` the stall limit. */
  readonly lease?: Duration
  /** How long an answer is kept, from completion; default 24 h. */
  readonly retain?: Duration
  /** How long a duplicate waits for the first call before KEY_IN_USE; default 2 s, 0 not at all. */
  readonly wait?: Duration
  /** How long the store may take to answer a call; default 250 ms. */
  readonly storeTimeout?: Duration
  /** Of `run()`: 'refuse' (default) answers STORE_UNAVAILABLE, 'run-unprotected' runs the work and says so. */
  readonly onStoreDown?: 'refuse' | 'run-unprotected'
  /** Larger answers (with the hints of their effects) and checkpoints are not kept: an answer leaves a tombstone; default 262,144. */
  readonly maxStoredBytes?: number
  /** `perKey` (100) and `total` (5000) duplicates waiting in this process, and `connections` (4) blocked in a wait. */
  readonly maxWaiters?: { readonly perKey?: number; readonly total?: number; readonly connections?: number }
  /** Seals what the store keeps of answers and checkpoints; they leave this process in no other form. */
  readonly protect?: Protection
  /**
   * Asked before a stored answer is given again, each about the effects of its kind that were committed with it: what
   * their `afterCommit` may have missed. A guard that rejects, or takes more than 2 s, is counted; the answer is given.
   */
  readonly replayGuards?: readonly ReplayGuard[]
  readonly clock?: Clock
  readonly logger?: Logger
}

/** Limits of durations that a call may set too. */
export const LEASE_LIMITS = { min: '100ms', max: '24d' } as const
export const RETAIN_LIMITS = { min: 1, max: '3650d' } as const
export const WAIT_LIMITS = { max: '1h' } as const

const SPEC = {
  store: opt.required(opt.port<IdempotencyStore>(['begin', 'settle', 'touch', 'peek', 'clear', 'health'])),
  guarantee: opt.oneOf<Guarantee>(['at-least-once', 'at-most-once'], 'at-least-once'),
  lease: opt.duration('15s', LEASE_LIMITS),
  retain: opt.duration('24h', { ...RETAIN_LIMITS, min: '1s' }),
  wait: opt.duration('2s', WAIT_LIMITS),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  onStoreDown: opt.oneOf<'refuse' | 'run-unprotected'>(['refuse', 'run-unprotected'], 'refuse'),
  maxStoredBytes: opt.integer(262_144),
  maxWaiters: opt.group({
    perKey: opt.integer(100),
    total: opt.integer(5_000),
    connections: opt.integer(4),
  }),
  protect: opt.port<Protection>(['seal', 'open']),
  replayGuards: opt.custom<readonly ReplayGuard[]>('an array of objects with kind and beforeReplay()', isGuards, []),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}

/** The options with their defaults; durations in ms. */
export interface CheckedOptions {
  readonly store: IdempotencyStore
  readonly guarantee: Guarantee
  readonly lease: number
  readonly retain: number
  readonly wait: number
  readonly storeTimeout: number
  readonly onStoreDown: 'refuse' | 'run-unprotected'
  readonly maxStoredBytes: number
  readonly maxWaiters: { readonly perKey: number; readonly total: number; readonly connections: number }
  readonly protect: Protection | undefined
  readonly replayGuards: readonly ReplayGuard[]
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws IdempotencyError OPTION_INVALID */
export function checkIdempotencyOptions(options: IdempotencyOptions): CheckedOptions {
  return checkOptions('createIdempotency', options, SPEC, optionFailure)
}

function isGuards(given: unknown): boolean {
  if (!Array.isArray(given)) return false
  return given.every((guard: Partial<ReplayGuard> | null | undefined) => {
    return typeof guard?.kind === 'string' && typeof guard.beforeReplay === 'function'
  })
}

/** True for a store that has all of a TransactionalStore. */
export function isTransactional(store: IdempotencyStore): store is TransactionalStore {
  return store.transactional && typeof (store as Partial<TransactionalStore>).within === 'function'
}
