import {
  endOf,
  isKeelsonError,
  isReply,
  responseCodec,
  uuidv7,
  type Effect,
  type EffectContext,
  type Reply,
  type StoredResponse,
  type Tx,
} from '@keelson/kernel'
import { effectContext, effectStatements, runAfterCommit } from '@keelson/kernel/effects'
import { packAnswer, unpackAnswer } from './answer.ts'
import type { BeforeReplay } from './before-replay.ts'
import { checkCall, type CheckedCall, type TransactionCall } from './call.ts'
import type { Claiming, UnslicedClaim } from './claiming.ts'
import { IdempotencyError } from './error.ts'
import type { Flights, Lead } from './flights.ts'
import type { CheckedOptions } from './options.ts'
import { open, seal } from './protection.ts'
import { refused, type Outcome } from './outcome.ts'
import type { TransactionEnd, WithinResult } from './store.ts'
import { textOf } from './text-of.ts'
import { traceOfContext } from './trace.ts'

/** What the work may know of its operation. */
export interface Operation {
  /** A UUID, the same for every restart of this call. */
  readonly operationId: string
  readonly scope: string
  readonly op: string
  /** Aborts when the operation has ended: its transaction is closed. */
  readonly signal: AbortSignal
}

/** `transaction()` of an instance. */
export type Transaction = (
  call: TransactionCall,
  work: (tx: Tx, op: Operation) => Promise<Reply>,
) => Promise<Outcome<StoredResponse>>

/** What one run leaves for after its commit. */
interface Ran {
  readonly response: StoredResponse
  readonly effects: readonly Effect[]
}

/** One for all: it captures a stack, which costs more than the rest of an end. */
const ENDED = new DOMException('the transaction has ended', 'AbortError')

/** An operation whose signal is made when it is asked for: few works do. */
class OpenOperation implements Operation {
  readonly operationId: string
  readonly scope: string
  readonly op: string
  #ended = false
  #controller: AbortController | undefined

  constructor(operationId: string, scope: string, op: string) {
    this.operationId = operationId
    this.scope = scope
    this.op = op
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#ended) this.#controller.abort(ENDED)
    return this.#controller.signal
  }

  end(): void {
    this.#ended = true
    this.#controller?.abort(ENDED)
  }
}

/** Duplicates of this process join; the one that leads asks the store. */
export function createTransaction(
  claiming: Claiming,
  flights: Flights<StoredResponse>,
  beforeReplay: BeforeReplay,
  /** A record was met whose fingerprint cannot be compared with the call's. */
  skipped: () => void,
  o: CheckedOptions,
): Transaction {
  const { clock, logger } = o

  async function lead(
    checked: CheckedCall,
    work: (tx: Tx, op: Operation) => Promise<Reply>,
    untilMs: number,
    leader: Lead<StoredResponse>,
  ): Promise<Outcome<StoredResponse>> {
    const operationId = uuidv7(clock)
    const { scope, op } = checked
    const operation = new OpenOperation(operationId, scope, op)
    const ctx = effectContext({ operationId, scope, op, clock })
    let thrown: { error: unknown } | undefined

    const run = async (tx: Tx): Promise<TransactionEnd<Ran>> => {
      leader.claimed()
      thrown = undefined
      try {
        return await endWith(await work(tx, operation), ctx, checked, o)
      } catch (error) {
        thrown = { error }
        throw error
      }
    }
    try {
      const claim = { ...claimOf(checked, operationId), stallMs: checked.leaseMs, retries: checked.retries }
      const result = await claiming.within(checked.ref, claim, run, { untilMs, signal: checked.signal })
      if ('fingerprintSkipped' in result) skipped()
      if (result.kind === 'ran' && result.value.effects.length > 0)
        await runAfterCommit(result.value.effects, ctx, { logger, clock })
      if (result.kind === 'done') return await replayed(result, checked)
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
      operation.end()
    }
  }

  async function replayed(
    { bytes, attempt, operationId, trace }: Extract<WithinResult<Ran>, { kind: 'done' }>,
    { ref, scope, op }: CheckedCall,
  ): Promise<Outcome<StoredResponse>> {
    const { answer, hints } = unpackAnswer(await open(o.protect, bytes, { scope, ref }))
    if (hints.length > 0) await beforeReplay(hints, { operationId, scope, op })
    const run = { kind: 'replayed', replayed: true, waited: false, stored: true } as const
    const link = trace?.traceparent === undefined ? {} : { firstTraceparent: trace.traceparent }
    return { ok: true, ...run, value: responseCodec.decode(answer), attempt, operationId, ...link }
  }

  return async (call, work) => {
    const checked = checkCall(call, o)
    const untilMs = clock.monotonic() + checked.waitMs
    const key = textOf(checked.ref)
    const joined = await flights.join(key, { fingerprint: checked.fingerprint, signal: checked.signal, untilMs })
    if ('outcome' in joined) return joined.outcome
    let outcome: Outcome<StoredResponse> | undefined
    try {
      outcome = await lead(checked, work, untilMs, joined.lead)
      return outcome
    } finally {
      joined.lead.end(isShared(outcome) ? outcome : undefined)
    }
  }
}

/** What those who waited may have too: a stored answer, or a refusal that is about the key and not about one caller. */
function isShared(outcome: Outcome<StoredResponse> | undefined): boolean {
  if (outcome === undefined) return false
  return outcome.ok ? outcome.stored : outcome.code !== 'KEY_IN_USE'
}

function claimOf(checked: CheckedCall, operationId: string): Omit<UnslicedClaim, 'stallMs' | 'retries'> {
  return {
    operationId,
    scope: checked.scope,
    op: checked.op,
    retainMs: checked.retainMs,
    ...(checked.fingerprint === undefined ? {} : { fingerprint: checked.fingerprint }),
    ...(checked.subject === undefined ? {} : { subject: checked.subject }),
    trace: traceOfContext(),
  }
}

/** From what the work returned to how its transaction ends. */
async function endWith(
  reply: unknown,
  ctx: EffectContext,
  { ref, scope, bestEffort }: CheckedCall,
  { maxStoredBytes, protect }: CheckedOptions,
): Promise<TransactionEnd<Ran>> {
  if (!isReply(reply)) {
    throw new IdempotencyError('REPLY_INVALID', 'the work must return reply(status, body, effects)')
  }
  const end = endOf(reply.response.status)
  // The caller gets what a repeat will get.
  const bytes = responseCodec.encode(reply.response)
  const response = responseCodec.decode(bytes)
  if (end === 'rollback') return { end, value: { response, effects: [] } }
  const { statements, perform, hints } = effectStatements(reply.effects, ctx, { bestEffort })
  for (const effect of perform) await effect.perform?.(ctx)
  const packed = packAnswer(bytes, hints)
  return {
    end,
    bytes: packed.length > maxStoredBytes ? undefined : await seal(protect, packed, { scope, ref }),
    statements,
    value: { response, effects: reply.effects },
  }
}

function outcomeOf(
  result: Exclude<WithinResult<Ran>, { kind: 'done' }> | { kind: 'full' },
  operationId: string,
): Outcome<StoredResponse> {
  switch (result.kind) {
    case 'ran': {
      const { value, stored, attempt } = result
      const run = { kind: 'executed', replayed: false, waited: false } as const
      return { ok: true, ...run, value: value.response, stored, attempt, operationId }
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
