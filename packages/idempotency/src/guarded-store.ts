import { context, isKeelsonError, isStoreFailure, traced, type Statement, type StoreGuard } from '@keelson/kernel'
import { IdempotencyError } from './error.ts'
import type { IdempotencyMetrics } from './metrics.ts'
import { isTransactional, type CheckedOptions } from './options.ts'
import type { RefDigest } from './ref.ts'
import type {
  Begin,
  Claim,
  Clearing,
  Limit,
  Own,
  RecordView,
  Settlement,
  StuckRecord,
  SubjectRecord,
  TracedRecord,
} from './store.ts'

/** A store that queues for a connection keeps its own deadlines; what the guard adds is only a backstop. */
const BACKSTOP_MS = 6_000

/** The store behind its guard: each call ends in time, and one that may be repeated is, once, when its reply was lost. */
export interface GuardedStore {
  /** Within the caller's deadline. `late` gets a claim that was won after its caller was told no. */
  begin(ref: RefDigest, claim: Claim, late: (begin: Begin) => void): Promise<Begin>
  /** Outside of the caller's deadline, as `touch` and the others: they end what has begun. */
  settle(
    ref: RefDigest,
    own: Own,
    as: Settlement,
    retainMs: number,
    statements: readonly Statement[],
  ): Promise<'ok' | 'lost'>
  touch(ref: RefDigest, own: Own, leaseMs: number, checkpoint?: Uint8Array): Promise<'ok' | 'lost'>
  peek(ref: RefDigest): Promise<RecordView | null>
  clear(ref: RefDigest, how: Clearing): Promise<boolean>
  sweep(limit: number): Promise<number>
  /** Undefined for a store that keeps no subjects. Each step has a deadline. */
  ofSubject(subject: Uint8Array, how: 'export' | 'erase'): AsyncIterable<SubjectRecord> | undefined
  /** Records by state, where the store counts them. */
  counts(): Promise<Counts | undefined>
  /** Records that wait for an operator, where the store lists them. */
  stuck(max: number): Promise<readonly StuckRecord[] | undefined>
  /** Records of a correlation id, where the store can look. */
  trace(correlationId: string, limit: number): Promise<readonly TracedRecord[]>
  warnings(): Promise<readonly string[]>
  /** Resolves when calls pass the guard, or after `limitMs`. */
  passable(limitMs: number): Promise<void>
}

type Counts = Partial<Record<RecordView['state'], number>>

export function createGuardedStore(guard: StoreGuard, metrics: IdempotencyMetrics, o: CheckedOptions): GuardedStore {
  const { store, clock, storeTimeout } = o
  const limit = { answerMs: storeTimeout }
  const timeout = isTransactional(store) ? storeTimeout + BACKSTOP_MS : storeTimeout
  // Whoever creates the instance has no request's deadline: what must still be said of a run has none either.
  const detached = context.bind(<T>(fn: () => Promise<T>) => fn())
  const outside = <T>(fn: () => Promise<T>): Promise<T> => (context.remaining() === Infinity ? fn() : detached(fn))

  function timed<T>(call: string, ask: () => Promise<T>, late?: (value: T) => void): Promise<T> {
    const startMs = clock.monotonic()
    const observe = (): void => metrics.storeSeconds.observe((clock.monotonic() - startMs) / 1000, { call })
    return guard.call(ask, late === undefined ? { timeout } : { timeout, late }).then(
      (value) => {
        observe()
        return value
      },
      (error: unknown) => {
        observe()
        throw isStoreFailure(error) && !isKeelsonError(error) ? refusedBy(error) : error
      },
    )
  }

  /** A connection that was lost may have lost a reply only: the store recognises a repeat. */
  function repeatable<T>(ask: (limit: Limit) => Promise<T>): () => Promise<T> {
    return () => {
      const untilMs = clock.monotonic() + Math.min(storeTimeout, context.remaining())
      return ask(limit).catch((error: unknown) => {
        // Both together have the time of one: a server that is away must not be waited for twice.
        const leftMs = untilMs - clock.monotonic()
        if (leftMs < 1 || !isStoreFailure(error)) throw error
        return ask({ answerMs: leftMs })
      })
    }
  }

  return {
    begin: (ref, claim, late) =>
      traced(
        'idempotency:begin',
        () => ({ op: claim.op }),
        () =>
          timed(
            'begin',
            repeatable((limit) => store.begin(ref, claim, limit)),
            late,
          ).then((begin) => {
            if ('fingerprintSkipped' in begin) metrics.fingerprintSkipped.inc()
            return begin
          }),
      ),
    settle: (ref, own, as, retainMs, statements) =>
      traced(
        'idempotency:settle',
        () => ({ as: as.kind }),
        () =>
          outside(() =>
            timed(
              'settle',
              repeatable((limit) =>
                isTransactional(store)
                  ? store.settle(ref, own, as, retainMs, statements, limit)
                  : store.settle(ref, own, as, retainMs),
              ),
            ),
          ),
      ),
    touch: (ref, own, leaseMs, checkpoint) =>
      outside(() =>
        timed(
          'touch',
          repeatable((limit) => store.touch(ref, own, leaseMs, checkpoint, limit)),
        ),
      ),
    peek: (ref) =>
      outside(() =>
        timed(
          'peek',
          repeatable((limit) => store.peek(ref, limit)),
        ),
      ),
    clear: (ref, how) => outside(() => timed('clear', () => store.clear(ref, how, limit))),
    sweep: async (count) => (await outside(() => timed('sweep', async () => store.sweep?.(count)))) ?? 0,
    ofSubject(subject, how) {
      const records = store.ofSubject?.(subject, how)
      return records && stepwise(records, (next) => outside(() => timed('subject', next)))
    },
    // Without the guard: that a large table takes long to count, or to look through, is no outage.
    counts: async () => (guard.state === 'open' ? undefined : outside(async () => store.counts?.(limit))),
    stuck: (max) => outside(async () => store.stuck?.(max, limit)),
    trace: (correlationId, limit) => outside(async () => (await store.trace?.(correlationId, limit)) ?? []),
    async passable(limitMs) {
      if (guard.state === 'closed') return
      const { promise, resolve } = Promise.withResolvers<void>()
      const ignore = guard.onChange(() => resolve())
      const timer = clock.timer(resolve, limitMs, { ref: true })
      await promise
      timer.cancel()
      ignore()
    },
    warnings: async () => (await outside(() => timed('warnings', async () => store.warnings?.()))) ?? [],
  }
}

/** An iteration, step by step under `ask`. What still runs is not waited for. */
async function* stepwise<T>(
  records: AsyncIterable<T>,
  ask: (next: () => Promise<IteratorResult<T>>) => Promise<IteratorResult<T>>,
): AsyncIterable<T> {
  const iterator = records[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = await ask(() => iterator.next())
    if (done === true) return
    yield value
  }
}

/** A driver's own words for a server that cannot serve. */
function refusedBy(cause: unknown): IdempotencyError {
  return new IdempotencyError('STORE_UNAVAILABLE', `idempotency store: ${(cause as Error).message}`, {
    cause,
    retryAfter: 1_000,
    details: { reason: 'refused' },
  })
}
