import type { StoreGuard, Tx } from '@keelson/kernel'
import { IdempotencyError } from './error.ts'
import type { CheckedOptions } from './options.ts'
import type { RefDigest } from './ref.ts'
import type { TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from './store.ts'

/** Over what a store may take by its own deadlines. */
const BACKSTOP_MS = 6_000

/** A claim before its wait is cut in two. */
export type UnslicedClaim = Omit<TransactionClaim, 'waitMs' | 'answerMs'>

/** Claims refs in a store, with the guard in front of it. */
export interface Claiming {
  /**
   * `store.within` under the guard. A held ref is waited for until `untilMs` (monotonic); 'full' when too many
   * connections are blocked in such a wait.
   */
  within<T>(
    ref: RefDigest,
    claim: UnslicedClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
    untilMs: number,
  ): Promise<WithinResult<T> | { kind: 'full' }>
}

export function createClaiming(guard: StoreGuard, store: TransactionalStore, o: CheckedOptions): Claiming {
  const { clock, storeTimeout } = o
  let blockedConnections = 0

  /** The guard watches the claim, not the work. */
  async function guarded<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
  ): Promise<WithinResult<T>> {
    let gaveUp = false
    let running: Promise<WithinResult<T>> | undefined
    const entered = Promise.withResolvers<void>()
    const start = (): Promise<unknown> => {
      running = store.within(ref, claim, async (tx) => {
        // The claim was won after its caller was told no: give it back.
        if (gaveUp) throw new IdempotencyError('STORE_UNAVAILABLE', 'the claim came too late')
        entered.resolve()
        return work(tx)
      })
      return Promise.race([entered.promise, running])
    }
    try {
      // Only a backstop: the store keeps its own deadlines, and queueing for its connections is no failure.
      await guard.call(start, { timeout: claim.answerMs + claim.waitMs + claim.stallMs + BACKSTOP_MS })
    } catch (error) {
      gaveUp = true
      running?.catch(() => {})
      throw error
    }
    return running!
  }

  return {
    async within(ref, claim, work, untilMs) {
      const leftMs = (): number => Math.max(0, untilMs - clock.monotonic())
      // The first wait is over long before `storeTimeout`: a busy key has answered by then, a frozen server has not.
      const sliceMs = Math.min(storeTimeout / 2, leftMs())
      const first = await guarded(ref, { ...claim, waitMs: sliceMs, answerMs: storeTimeout - sliceMs }, work)
      if (first.kind !== 'busy' || leftMs() === 0) return first
      if (blockedConnections >= o.maxWaiters.connections) return { kind: 'full' }
      blockedConnections++
      try {
        return await guarded(ref, { ...claim, waitMs: leftMs(), answerMs: storeTimeout }, work)
      } finally {
        blockedConnections--
      }
    },
  }
}
