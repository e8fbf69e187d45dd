import {
  createStoreGuard,
  endOf,
  isKeelsonError,
  isReply,
  responseCodec,
  uuidv7,
  context,
  type Effect,
  type EffectContext,
  type Reply,
  type StoredResponse,
  type Tx,
} from '@keelson/kernel'
import { effectContext, effectStatements, runAfterCommit } from '@keelson/kernel/postgres'
import { checkCall, type Call, type CheckedCall } from './call.ts'
import { IdempotencyError } from './error.ts'
import { createFlights, type Lead } from './flights.ts'
import { checkIdempotencyOptions, type IdempotencyOptions } from './options.ts'
import { refused, type Outcome } from './outcome.ts'
import type { TransactionClaim, TransactionEnd, WithinResult } from './store.ts'

/** What the work may know of its operation. */
export interface Operation {
  /** A UUID, the same for every restart of this call. */
  readonly operationId: string
  readonly scope: string
  readonly op: string
  /** Aborts when the operation has ended: its transaction is closed. */
  readonly signal: AbortSignal
}

/** A call of `transaction()`. */
export interface TransactionCall extends Call {
  /** Restarts after a serialization failure or a deadlock; default 2. */
  readonly retries?: number
  /** Accepts effects without `statements`: they are performed before the commit and may happen alone. */
  readonly bestEffort?: boolean
}

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

/** What one run leaves for after its commit. */
interface Ran {
  readonly response: StoredResponse
  readonly effects: readonly Effect[]
}

/** Time a full pool may keep a claim waiting, over what the store itself may take. */
const QUEUE_MS = 6_000
/** Of `storeTimeout`, what the first wait leaves for the store's own answer: so a busy key is told from a frozen server. */
const ANSWER_MARGIN_MS = 100

/**
 * Idempotent operations over a store.
 * @throws IdempotencyError OPTION_INVALID
 */
export function createIdempotency(options: IdempotencyOptions): TransactionalIdempotency {
  const o = checkIdempotencyOptions(options)
  const { store, clock, logger } = o
  const flights = createFlights<StoredResponse>(clock, o.maxWaiters)
  const guard = createStoreGuard({
    name: 'idempotency store',
    timeout: o.storeTimeout,
    ping: () => store.health({ answerMs: o.storeTimeout }),
    // A call is pending until its claim is answered; these are bounded by their own queue below.
    maxPending: 10_000,
    clock,
    logger,
  })
  let closed = false
  let blockedConnections = 0

  async function transaction(
    call: TransactionCall,
    work: (tx: Tx, op: Operation) => Promise<Reply>,
  ): Promise<Outcome<StoredResponse>> {
    if (closed) throw new IdempotencyError('CLOSED', 'this instance was closed')
    const checked = checkCall(call, { waitMs: o.wait, retainMs: o.retain })
    const untilMs = clock.monotonic() + checked.waitMs
    const key = Buffer.from(checked.ref).toString('latin1')
    const joined = await flights.join(key, { ...checked, untilMs })
    if ('outcome' in joined) return joined.outcome
    let outcome: Outcome<StoredResponse> | undefined
    try {
      outcome = await lead(checked, call, work, untilMs, joined.lead)
      return outcome
    } finally {
      joined.lead.end(isShared(outcome) ? outcome : undefined)
    }
  }

  /** The one caller of this process that asks the store. */
  async function lead(
    checked: CheckedCall,
    { retries = 2, bestEffort = false }: TransactionCall,
    work: (tx: Tx, op: Operation) => Promise<Reply>,
    untilMs: number,
    { claimed }: Lead<StoredResponse>,
  ): Promise<Outcome<StoredResponse>> {
    const operationId = uuidv7(clock)
    const ended = new AbortController()
    const operation: Operation = { operationId, scope: checked.scope, op: checked.op, signal: ended.signal }
    const ctx = effectContext({ ...operation, clock })
    let thrown: { error: unknown } | undefined

    const run = async (tx: Tx): Promise<TransactionEnd<Ran>> => {
      claimed()
      thrown = undefined
      try {
        const reply: unknown = await work(tx, operation)
        return await endWith(reply, ctx, bestEffort, o.maxStoredBytes)
      } catch (error) {
        thrown = { error }
        throw error
      }
    }
    const claim = { ...claimOf(checked, operationId), stallMs: o.lease, answerMs: o.storeTimeout, retries }
    try {
      const result = await claimInSlices(checked.ref, claim, run, untilMs)
      if (result.kind === 'ran') await runAfterCommit(result.value.effects, ctx, { logger, clock })
      return outcomeOf(result, operationId)
    } catch (error) {
      // The work's own error is its caller's, even when it looks like ours.
      if (thrown?.error === error) throw error
      if (isKeelsonError(error, 'STORE_UNAVAILABLE')) {
        return refused('STORE_UNAVAILABLE', { retryAfter: error.retryAfter ?? 1_000, cause: error })
      }
      if (isKeelsonError(error, 'COMMIT_UNKNOWN')) {
        throw new IdempotencyError('COMMIT_UNKNOWN', error.message, { cause: error, retryAfter: 1_000 })
      }
      throw error
    } finally {
      ended.abort()
    }
  }

  /** A first wait that is shorter than the store's deadline tells a busy key from a frozen server; then the rest. */
  async function claimInSlices(
    ref: Uint8Array,
    claim: Omit<TransactionClaim, 'waitMs'>,
    run: (tx: Tx) => Promise<TransactionEnd<Ran>>,
    untilMs: number,
  ): Promise<WithinResult<Ran> | { kind: 'full' }> {
    const sliceMs = Math.max(o.storeTimeout - ANSWER_MARGIN_MS, o.storeTimeout / 2)
    const first = await guarded(ref, { ...claim, waitMs: Math.min(sliceMs, leftMs(untilMs)) }, run)
    if (first.kind !== 'busy' || leftMs(untilMs) === 0) return first
    if (blockedConnections >= o.maxWaiters.connections) return { kind: 'full' }
    blockedConnections++
    try {
      return await guarded(ref, { ...claim, waitMs: leftMs(untilMs) }, run)
    } finally {
      blockedConnections--
    }
  }

  /** The guard watches the claim, not the work. */
  async function guarded(
    ref: Uint8Array,
    claim: TransactionClaim,
    run: (tx: Tx) => Promise<TransactionEnd<Ran>>,
  ): Promise<WithinResult<Ran>> {
    let gaveUp = false
    let running: Promise<WithinResult<Ran>> | undefined
    const entered = Promise.withResolvers<void>()
    const start = (): Promise<unknown> => {
      running = store.within(ref, claim, async (tx) => {
        // The claim was won after its caller was told no: give it back.
        if (gaveUp) throw new IdempotencyError('STORE_UNAVAILABLE', 'the claim came too late')
        entered.resolve()
        return run(tx)
      })
      return Promise.race([entered.promise, running])
    }
    try {
      await guard.call(start, { timeout: claim.answerMs + claim.waitMs + QUEUE_MS })
    } catch (error) {
      gaveUp = true
      running?.catch(() => {})
      throw error
    }
    return running!
  }

  function leftMs(untilMs: number): number {
    return Math.max(0, untilMs - clock.monotonic())
  }

  async function close(): Promise<void> {
    closed = true
    guard.close()
  }

  return { transaction, close, [Symbol.asyncDispose]: close }
}

/** What those who waited may have too: a stored answer, or a refusal that is about the key and not about one caller. */
function isShared(outcome: Outcome<StoredResponse> | undefined): boolean {
  if (outcome === undefined) return false
  return outcome.ok ? outcome.stored : outcome.code !== 'KEY_IN_USE'
}

function claimOf(
  checked: CheckedCall,
  operationId: string,
): Omit<TransactionClaim, 'waitMs' | 'stallMs' | 'answerMs' | 'retries'> {
  const { correlationId, traceparent } = context.get() ?? {}
  return {
    operationId,
    scope: checked.scope,
    op: checked.op,
    retainMs: checked.retainMs,
    ...(checked.fingerprint === undefined ? {} : { fingerprint: checked.fingerprint }),
    ...(checked.subject === undefined ? {} : { subject: checked.subject }),
    trace: {
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  }
}

/** From what the work returned to how its transaction ends. */
async function endWith(
  reply: unknown,
  ctx: EffectContext,
  bestEffort: boolean,
  maxStoredBytes: number,
): Promise<TransactionEnd<Ran>> {
  if (!isReply(reply)) {
    throw new IdempotencyError('REPLY_INVALID', 'the work must return reply(status, body, effects)')
  }
  const end = endOf(reply.response.status)
  // The caller gets what a repeat will get.
  const bytes = responseCodec.encode(reply.response)
  const response = responseCodec.decode(bytes)
  if (end === 'rollback') return { end, value: { response, effects: [] } }
  const { statements, perform } = effectStatements(reply.effects, ctx, { bestEffort })
  for (const effect of perform) await effect.perform?.(ctx)
  return {
    end,
    bytes: bytes.length > maxStoredBytes ? undefined : bytes,
    statements,
    value: { response, effects: reply.effects },
  }
}

function outcomeOf(result: WithinResult<Ran> | { kind: 'full' }, operationId: string): Outcome<StoredResponse> {
  switch (result.kind) {
    case 'ran': {
      const { value, stored, attempt } = result
      const run = { kind: 'executed', replayed: false, waited: false } as const
      return { ok: true, ...run, value: value.response, stored, attempt, operationId }
    }
    case 'done': {
      const { bytes, attempt, operationId: firstId, traceparent } = result
      const run = { kind: 'replayed', replayed: true, waited: false, stored: true } as const
      const link = traceparent === undefined ? {} : { firstTraceparent: traceparent }
      return { ok: true, ...run, value: responseCodec.decode(bytes), attempt, operationId: firstId, ...link }
    }
    case 'busy':
      return refused('KEY_IN_USE', { retryAfter: result.leaseLeftMs })
    case 'full':
      return refused('TOO_MANY_WAITERS', { retryAfter: 1_000 })
    case 'mismatch':
      return refused('KEY_REUSED')
    case 'tombstone':
      return refused('ANSWER_NOT_RETAINED')
    case 'unknown':
      return refused('OUTCOME_UNKNOWN')
  }
}
