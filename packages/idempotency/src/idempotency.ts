import {
  checkOptions,
  createStoreGuard,
  isPlainText,
  isReply,
  opt,
  responseCodec,
  traced,
  type Codec,
  type Component,
  type Duration,
  type Reply,
  type Status,
  type StoredResponse,
  type Tx,
} from '@keelson/kernel'
import { packAnswer, unpackAnswer } from './answer.ts'
import { createBeforeReplay } from './before-replay.ts'
import { checkWork, type Call, type RunCall, type TransactionCall } from './call.ts'
import { createClaiming } from './claiming.ts'
import { consume, type Consumed } from './consume.ts'
import { IdempotencyError, optionFailure } from './error.ts'
import type { Execution } from './execution.ts'
import type { Explained } from './explained.ts'
import { createFlights } from './flights.ts'
import { createGuardedStore } from './guarded-store.ts'
import { jsonCodec } from './json-codec.ts'
import { createIdempotencyMetrics, outcomeLabel } from './metrics.ts'
import { checkIdempotencyOptions, isTransactional, type IdempotencyOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { createOwed } from './owed.ts'
import { open, seal } from './protection.ts'
import {
  checkRef,
  checkScope,
  checkText,
  digestOfId,
  digestRef,
  digestSubject,
  MAX_PRINCIPAL,
  type Ref,
} from './ref.ts'
import { createRun } from './run.ts'
import type { IdempotencyStore, RecordView, StuckRecord, SubjectRecord, TransactionalStore } from './store.ts'
import { createSweeper } from './sweeper.ts'
import { createTransaction, type Operation } from './transaction.ts'
import { wrap, type WrapOptions } from './wrap.ts'

/** `down` while the store is; `degraded` while something is owed to it. `oldestMs` is the age of the oldest work. */
export interface IdempotencyStatus extends Status {
  readonly counts: { readonly inflight: number; readonly waiters: number; readonly owedSettles: number }
  /** Of the store, by state, where it counts them. */
  readonly records?: Partial<Record<RecordView['state'], number>>
}

/** What is held of a person: an answer, or what an unfinished run has saved, as the bytes of its codec. */
export type Exported = Omit<SubjectRecord, 'ref'>

/** A record that waits for an operator, by the name that `resolve` takes: the text of its key is nowhere. */
export interface Stuck extends Omit<StuckRecord, 'ref'> {
  readonly id: string
}

/** One effect per key, for works that call the outside world. */
export interface Idempotency extends Component {
  /** True when it has `transaction()`: its store shares a database with the business rows. */
  readonly transactional: boolean
  /**
   * Runs `work` once per key. The claim is committed first and renewed while the work runs; the value is stored before
   * it is answered, and every repeat gets it: what the caller gets is `decode(encode(value))`.
   *
   * When `work` throws, 'at-least-once' releases the key, 'at-most-once' keeps it unknown (unless `x.notStarted`); the
   * same error is rethrown. When an owner is lost, 'at-least-once' runs again after its lease with the next attempt,
   * 'at-most-once' answers OUTCOME_UNKNOWN. A run that has lost its lease answers what the winner stored, or LEASE_LOST.
   * A store that dies while the work runs costs `stored`, never the value.
   *
   * Rejects with what `work` threw, untouched; IdempotencyError for a call that cannot be read, and CLOSED.
   */
  run<T>(call: RunCall<T>, work: (x: Execution) => Promise<T>): Promise<Outcome<T>>
  /** A function that runs once per key: `unwrap(run(..))`. */
  wrap<A extends unknown[], T>(fn: (...args: A) => Promise<T>, o: WrapOptions<A>): (...args: A) => Promise<T>
  /**
   * One message of a queue. 'processed' and 'duplicate': acknowledge it; `busy`: come back after so many ms; `unknown`:
   * put it aside. Rejects with what `work` threw, with KEY_REUSED (another message under the same key) and
   * STORE_UNAVAILABLE: do not acknowledge.
   */
  consume(call: Call, work: (x: Execution) => Promise<void>): Promise<Consumed>
  /** What the store knows of a key, without the answer; null for nothing. Rejects with STORE_UNAVAILABLE. */
  find(ref: Ref): Promise<RecordView | null>
  /**
   * At most `limit` (100) records that `resolve` would end, the oldest claim first; undefined where the store cannot list
   * them, as Redis. Rejects with STORE_UNAVAILABLE.
   */
  stuck(o?: { readonly limit?: number }): Promise<readonly Stuck[] | undefined>
  /**
   * Ends an unknown or lapsed record: 'retry' lets the key run again, a value becomes its answer; of `transaction()` a
   * `reply()`, whose effects are not committed. False when the record is in another state. With `protect` a value needs
   * the scope, also beside an id. Rejects with STORE_UNAVAILABLE.
   */
  resolve(
    ref: Ref | Pick<Stuck, 'id' | 'scope'>,
    as: 'retry' | { readonly value: unknown; readonly codec?: Codec<any> },
  ): Promise<boolean>
  /** Removes a record; false when there is none, or while its lease is alive. Rejects with STORE_UNAVAILABLE. */
  forget(ref: Ref): Promise<boolean>
  /**
   * Answers and checkpoints of the calls with this `subject`. Rejects with STORE_UNAVAILABLE, with ANSWER_CORRUPT for
   * what `protect` does not open, and with INPUT_INVALID on a store that keeps no subjects.
   */
  exportSubject(scope: string, subject: string): AsyncIterable<Exported>
  /**
   * Erases them; their keys stay claimed and answer ANSWER_NOT_RETAINED. What runs now is left to its owner, so repeat
   * it when the person can begin nothing more. Rejects with STORE_UNAVAILABLE.
   */
  eraseSubject(scope: string, subject: string): Promise<{ readonly answers: number }>
  inspect(): Promise<IdempotencyStatus>
  /**
   * What the store's records know of one correlation id: each claim and how it ended, and the effects that a replay of it
   * makes sure of, such as dropped tags. Nothing where the store cannot look (Redis). Rejects when the store cannot serve.
   */
  trace(correlationId: string): Promise<readonly Explained[]>
  /** Begins to sweep expired records, about once a minute. */
  start(): Promise<void>
  /** Ends that, and waits at most `drain` (10 s) for works in flight and for what is owed to the store. */
  stop(o?: { readonly drain?: Duration }): Promise<void>
  /** One sweep, for at most `budget` (10 s). */
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
}

/** The same over a store that shares its database with the business rows. */
export interface TransactionalIdempotency extends Idempotency {
  readonly transactional: true
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
}

/** The claims in flight are bounded by the pool's queue; the guard's own bound only ends what is beyond reason. */
const MAX_PENDING = 10_000

/** One correlation id has few. */
const MAX_TRACED = 1_000

/** How often `stop` looks whether all is done. */
const LOOK_MS = 20

const STOP = { drain: opt.duration('10s') }
const RUN_ONCE = { budget: opt.duration('10s') }
const STUCK = { limit: opt.integer(100, { min: 1, max: 1_000 }) }
const RESOLVE = {
  value: opt.custom<unknown>('any value', () => true),
  codec: opt.port<Codec<unknown>>(['encode', 'decode'], jsonCodec),
}

/**
 * Idempotent operations over a store. With a {@link TransactionalStore} it has `transaction()` too.
 * @throws IdempotencyError OPTION_INVALID
 */
export function createIdempotency<S extends IdempotencyStore>(
  options: IdempotencyOptions<S>,
): S extends TransactionalStore ? TransactionalIdempotency : Idempotency
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
  const skipped = (): void => metrics.fingerprintSkipped.inc()
  const runFlights = createFlights<Uint8Array>(clock, o.maxWaiters, skipped)
  const transactionFlights = createFlights<StoredResponse>(clock, o.maxWaiters, skipped)
  const waiting = (): number => runFlights.waiting + transactionFlights.waiting
  const metrics = createIdempotencyMetrics(waiting)
  const guarded = createGuardedStore(guard, metrics, o)
  const owed = createOwed(clock, logger)
  guard.onChange((state) => {
    if (state === 'closed') owed.flush()
  })
  const beforeReplay = createBeforeReplay({
    guards: o.replayGuards,
    failed: () => metrics.guardFailures.inc(),
    clock,
    logger,
  })
  const run = createRun({ guarded, flights: runFlights, owed, beforeReplay, options: o })
  const transaction = isTransactional(store)
    ? createTransaction(createClaiming(guard, store, o), transactionFlights, beforeReplay, skipped, o)
    : undefined
  const sweeper = createSweeper(guarded.sweep, (count) => metrics.swept.inc({}, count), clock, logger)
  const works = new Map<object, number>()
  let closed = false
  let closing: Promise<void> | undefined

  function checkOpen(): void {
    if (closed) throw new IdempotencyError('CLOSED', 'this instance was closed')
  }

  /** A call with its numbers and its channel. */
  function counted<T>(mode: 'run' | 'transaction', op: unknown, fn: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const details: { op: unknown; outcome?: string; operationId?: string } = { op }
    return traced(
      `idempotency:${mode}`,
      () => details,
      async () => {
        try {
          const outcome = await fn()
          details.outcome = outcomeLabel(outcome)
          if (outcome.ok) details.operationId = outcome.operationId
          metrics.calls.inc({ mode, outcome: details.outcome })
          return outcome
        } catch (error) {
          metrics.calls.inc({ mode, outcome: 'threw' })
          throw error
        }
      },
    )
  }

  /** A work, known to `inspect` and `stop` while it runs. */
  function watched<A extends unknown[], T>(work: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
    checkWork(work)
    return async (...args) => {
      const token = {}
      works.set(token, clock.monotonic())
      metrics.inflight.set(works.size)
      try {
        return await work(...args)
      } finally {
        works.delete(token)
        metrics.inflight.set(works.size)
      }
    }
  }

  async function runCounted<T>(call: RunCall<T>, work: (x: Execution) => Promise<T>): Promise<Outcome<T>> {
    checkOpen()
    return counted('run', call?.op, () => run(call, watched(work)))
  }

  function refOf(ref: Ref): Uint8Array {
    checkOpen()
    checkRef(ref)
    return digestRef(ref)
  }

  function ofSubject(scope: string, subject: string, how: 'export' | 'erase'): AsyncIterable<SubjectRecord> {
    checkOpen()
    checkScope(scope)
    // As long as a principal's id may be, which is the subject of calls that name none.
    checkText('INPUT_INVALID', 'subject', subject, MAX_PRINCIPAL)
    const records = guarded.ofSubject(digestSubject(scope, subject), how)
    if (records === undefined) throw new IdempotencyError('INPUT_INVALID', 'this store does not know subjects')
    return records
  }

  async function inspect(): Promise<IdempotencyStatus> {
    const { state, openedAt, lastError: message } = guard.stats()
    const [oldest] = works.values()
    const records = await guarded.counts().catch(() => undefined)
    return {
      name: 'idempotency',
      state: state === 'open' ? 'down' : owed.size > 0 ? 'degraded' : 'ok',
      counts: { inflight: works.size, waiters: waiting(), owedSettles: owed.size },
      ...(oldest === undefined ? {} : { oldestMs: clock.monotonic() - oldest }),
      ...(openedAt === undefined
        ? {}
        : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: message ?? '' } }),
      ...(records === undefined ? {} : { records }),
    }
  }

  async function idle(untilMs: number): Promise<void> {
    while ((works.size > 0 || owed.size > 0) && clock.monotonic() < untilMs) await clock.sleep(LOOK_MS)
  }

  async function end(): Promise<void> {
    await sweeper.stop()
    guard.close()
    owed.close()
    await store.close?.()
  }

  async function close(): Promise<void> {
    closed = true
    return (closing ??= end())
  }

  return {
    // The types hide `transaction` where this is false.
    transactional: (transaction !== undefined) as true,
    run: runCounted,
    wrap: (fn, options) => wrap(runCounted, fn, options),
    consume: async (call, work) => consume(runCounted, call, work),
    async transaction(call, work) {
      checkOpen()
      if (transaction === undefined) {
        throw new IdempotencyError('STORE_NOT_TRANSACTIONAL', 'transaction() needs a store such as postgresStore')
      }
      return counted('transaction', call?.op, () => transaction(call, watched(work)))
    },
    find: async (ref) => guarded.peek(refOf(ref)),
    async stuck(options) {
      checkOpen()
      const { limit } = checkOptions('stuck', options, STUCK, optionFailure)
      const rows = await guarded.stuck(limit)
      return rows?.map(({ ref, ...row }) => ({ id: Buffer.from(ref).toString('hex'), ...row }))
    },
    async resolve(ref, as) {
      checkOpen()
      const digest = 'id' in Object(ref) ? digestOfId((ref as Stuck).id) : refOf(ref as Ref)
      if (as === 'retry') return guarded.clear(digest, 'retry')
      // An answer cannot be taken back: one that is missing is no answer.
      if (!('value' in Object(as))) throw optionFailure("resolve: give 'retry' or { value }")
      const { codec, value } = checkOptions('resolve', as, RESOLVE, optionFailure)
      const bytes = packAnswer(bytesOf(value, codec), [])
      const { scope } = ref
      if (o.protect !== undefined) checkScope(scope)
      return guarded.clear(digest, { bytes: await seal(o.protect, bytes, { scope: scope!, ref: digest }) })
    },
    async *exportSubject(scope, subject) {
      for await (const { ref, ...record } of ofSubject(scope, subject, 'export')) {
        const bytes = await open(o.protect, record.bytes, { scope, ref })
        yield { ...record, bytes: record.kind === 'answer' ? unpackAnswer(bytes).answer : bytes }
      }
    },
    async eraseSubject(scope, subject) {
      let answers = 0
      for await (const _ of ofSubject(scope, subject, 'erase')) answers++
      return { answers }
    },
    forget: async (ref) => guarded.clear(refOf(ref), 'forget'),
    async start() {
      checkOpen()
      // Before anything is awaited: a stop that comes meanwhile ends it.
      sweeper.start()
      const warnings = await guarded.warnings().catch(() => [])
      for (const warning of warnings) logger.warn({}, warning)
    },
    async stop(options) {
      const { drain } = checkOptions('stop', options, STOP, optionFailure)
      await sweeper.stop()
      await idle(clock.monotonic() + drain)
    },
    async runOnce(options) {
      checkOpen()
      const { budget } = checkOptions('runOnce', options, RUN_ONCE, optionFailure)
      return { done: await sweeper.once(clock.monotonic() + budget) }
    },
    async trace(correlationId) {
      checkOpen()
      if (typeof correlationId !== 'string' || !isPlainText(correlationId)) return []
      // Only operators ask.
      const { explained } = await import('./explained.ts')
      const records = await guarded.trace(correlationId, MAX_TRACED)
      return (await Promise.all(records.map((record) => explained(record, o.protect)))).flat()
    },
    inspect,
    metrics: metrics.families,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** @throws IdempotencyError INPUT_INVALID */
function bytesOf(value: unknown, codec: Codec<unknown>): Uint8Array {
  try {
    // What a transaction answers.
    const bytes: unknown = isReply(value) ? responseCodec.encode(value.response) : codec.encode(value)
    if (bytes instanceof Uint8Array) return bytes
    throw new TypeError('encode() must answer a Uint8Array')
  } catch (cause) {
    throw new IdempotencyError('INPUT_INVALID', 'resolve: "value" has no bytes in its codec', { cause })
  }
}
