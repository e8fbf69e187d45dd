import type { StoreGuard, Tx } from '@keelson/kernel'
import { signalOf, type Call } from './call.ts'
import { IdempotencyError } from './error.ts'
import type { CheckedOptions } from './options.ts'
import type { RefDigest } from './ref.ts'
import type { TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from './store.ts'

/** Over what a store may take by its own deadlines. */
const BACKSTOP_MS = 6_000
/** What a caller is told that has stopped waiting; ms. */
const RETRY_AFTER_MS = 1_000

/** A claim before its wait is cut in two. */
export type UnslicedClaim = Omit<TransactionClaim, 'waitMs' | 'answerMs'>

/** Claims refs in a store, with the guard in front of it. */
export interface Claiming {
  /**
   * `store.within` under the guard. A held ref is waited for until `untilMs` (monotonic) or `signal`; 'full' when too
   * many connections are blocked in such a wait.
   */
  within<T>(
    ref: RefDigest,
    claim: UnslicedClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
    o: { untilMs: number; signal: Call['signal'] },
  ): Promise<WithinResult<T> | { kind: 'full' }>
}

export function createClaiming(guard: StoreGuard, store: TransactionalStore, o: CheckedOptions): Claiming {
  const { clock, storeTimeout } = o
  let blockedConnections = 0

  /** The guard watches the claim, not the work. What `signal` ends goes on unawaited, and is `left`. */
  async function guarded<T>(
    ref: RefDigest,
    claim: TransactionClaim,
    work: (tx: Tx) => Promise<TransactionEnd<T>>,
    signal: AbortSignal | undefined,
    left?: (running: Promise<unknown>) => void,
  ): Promise<WithinResult<T>> {
    let isWorking = false
    let gaveUp = false
    let stopped: IdempotencyError | undefined
    let running: Promise<WithinResult<T>> | undefined
    const entered = Promise.withResolvers<void>()
    const stop = (): void => {
      if (isWorking) return
      gaveUp = true
      // An error of ours: the guard learns nothing of the server from it.
      entered.reject((stopped = new IdempotencyError('KEY_IN_USE', 'its caller waits no more')))
    }
    const start = (): Promise<unknown> => {
      running = store.within(ref, claim, async (tx) => {
        // The claim was won after its caller was told no: give it back.
        if (gaveUp) throw new IdempotencyError('STORE_UNAVAILABLE', 'the claim came too late')
        isWorking = true
        entered.resolve()
        return work(tx)
      })
      return Promise.race([entered.promise, running])
    }
    signal?.addEventListener('abort', stop, { once: true })
    try {
      // Only a backstop: the store keeps its own deadlines, and queueing for its connections is no failure.
      await guard.call(start, { timeout: claim.answerMs + claim.waitMs + claim.stallMs + BACKSTOP_MS })
    } catch (error) {
      gaveUp = true
      running?.catch(() => {})
      if (stopped === undefined || error !== stopped) throw error
      left?.(running!)
      return { kind: 'busy', leaseLeftMs: RETRY_AFTER_MS }
    } finally {
      signal?.removeEventListener('abort', stop)
    }
    return running!
  }

  return {
    async within(ref, claim, work, { untilMs, signal: given }) {
      // A function is asked for it when there is something to wait for.
      let signal = typeof given === 'function' ? undefined : given
      const leftMs = (): number => (signal?.aborted === true ? 0 : Math.max(0, untilMs - clock.monotonic()))
      // The first wait is over long before `storeTimeout`: a busy key has answered by then, a frozen server has not.
      const sliceMs = Math.min(storeTimeout / 2, leftMs())
      const first = await guarded(ref, { ...claim, waitMs: sliceMs, answerMs: storeTimeout - sliceMs }, work, signal)
      if (first.kind !== 'busy' || leftMs() === 0) return first
      signal = signalOf(given)
      if (leftMs() === 0) return first
      if (blockedConnections >= o.maxWaiters.connections) return { kind: 'full' }
      blockedConnections++
      const free = (): void => void blockedConnections--
      let behind: Promise<unknown> | undefined
      try {
        const rest = { ...claim, waitMs: leftMs(), answerMs: storeTimeout }
        return await guarded(ref, rest, work, signal, (running) => void (behind = running))
      } finally {
        // A wait that its caller has left blocks its connection until the server ends it.
        if (behind === undefined) free()
        else void behind.then(free, free)
      }
    },
  }
}
