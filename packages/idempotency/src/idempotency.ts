import { createStoreGuard, type Reply, type StoredResponse, type Tx } from '@keelson/kernel'
import { createClaiming } from './claiming.ts'
import { IdempotencyError } from './error.ts'
import { createFlights } from './flights.ts'
import { checkIdempotencyOptions, type IdempotencyOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { createTransaction, type Operation, type TransactionCall } from './transaction.ts'

/** One committed effect per key. */
export interface TransactionalIdempotency {
  /**
   * Runs `work` once per key: claim, business rows, effects and answer are one commit. Every repeat gets the same
   * status, headers and bytes.
   *
   * 2xx and 3xx commit everything. 4xx (except 401 403 408 409 425 429) roll the business rows back, commit the
   * effects and are remembered. Those six, 5xx and a throw leave nothing: a repeat is a clean first run.
   *
   * Rejects with what `work` threw, untouched; IdempotencyError for a call that cannot be read, REPLY_INVALID, CLOSED
   * and COMMIT_UNKNOWN; KernelError for effects that cannot be committed.
   */
  transaction(call: TransactionCall, work: (tx: Tx, op: Operation) => Promise<Reply>): Promise<Outcome<StoredResponse>>
  /** Ends the probing of the store; later calls are refused with CLOSED. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The claims in flight are bounded by the pool's queue; the guard's own bound only ends what is beyond reason. */
const MAX_PENDING = 10_000

/**
 * Idempotent operations over a store.
 * @throws IdempotencyError OPTION_INVALID
 */
export function createIdempotency(options: IdempotencyOptions): TransactionalIdempotency {
  const o = checkIdempotencyOptions(options)
  const { store, clock, logger } = o
  const guard = createStoreGuard({
    name: 'idempotency store',
    timeout: o.storeTimeout,
    ping: () => store.health({ answerMs: o.storeTimeout }),
    maxPending: MAX_PENDING,
    clock,
    logger,
  })
  const flights = createFlights<StoredResponse>(clock, o.maxWaiters)
  const transaction = createTransaction(createClaiming(guard, o), flights, o)
  let closed = false

  async function close(): Promise<void> {
    closed = true
    guard.close()
  }

  return {
    async transaction(call, work) {
      if (closed) throw new IdempotencyError('CLOSED', 'this instance was closed')
      return transaction(call, work)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
