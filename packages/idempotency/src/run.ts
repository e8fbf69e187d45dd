import {
  isKeelsonError,
  uuidv7,
  type Codec,
  type Effect,
  type EffectContext,
  type KeelsonError,
  type Statement,
} from '@keelson/kernel'
import { effectContext, runAfterCommit } from '@keelson/kernel/effects'
import { packAnswer, unpackAnswer, type KeptHint } from './answer.ts'
import type { BeforeReplay } from './before-replay.ts'
import { checkCall, type CheckedCall, type RunCall } from './call.ts'
import { createRunClaims } from './claim-run.ts'
import { RunningExecution, type Execution } from './execution.ts'
import type { Flights, Lead } from './flights.ts'
import type { GuardedStore } from './guarded-store.ts'
import { jsonCodec } from './json-codec.ts'
import { keepLease, type Lease } from './lease.ts'
import { nonceOf } from './nonce.ts'
import { isTransactional, type CheckedOptions } from './options.ts'
import { refused, type Executed, type Outcome, type Refused } from './outcome.ts'
import type { Owed } from './owed.ts'
import { open, seal } from './protection.ts'
import type { Begin, Claim, Held, Own, Settlement } from './store.ts'
import { textOf } from './text-of.ts'
import { traceOfContext } from './trace.ts'

/** `run()` of an instance. */
export type Run = <T>(call: RunCall<T>, work: (x: Execution) => Promise<T>) => Promise<Outcome<T>>

/** What a run is made with. */
export interface RunParts {
  readonly guarded: GuardedStore
  /** What duplicates of this process share: the answer's bytes. */
  readonly flights: Flights<Uint8Array>
  readonly owed: Owed
  readonly beforeReplay: BeforeReplay
  readonly options: CheckedOptions
}

/** A leader's outcome, and its bytes for those who waited: undefined when each must see for itself. */
interface Led<T> {
  readonly outcome: Outcome<T>
  readonly shared: Outcome<Uint8Array> | undefined
}

/** One call on its way: what was asked for, and under which name it claims. */
interface Attempt<T> {
  readonly checked: CheckedCall
  readonly claim: Claim
  readonly ctx: EffectContext
  readonly codec: Codec<T>
  readonly work: (x: Execution) => Promise<T>
  readonly untilMs: number
}

type Yours = Extract<Begin, { kind: 'yours' }>

/** Longer than a guard waits before it probes. */
const INSIST_MS = 1_000
const INSIST_PAUSE_MS = 50

/** A process that stood still finds its guard open. It closes with the next probe, unless the store is down indeed. */
const LONGEST_PROBE_MS = 1_500

/** The claim is committed first, then the work runs under its lease, then the answer is stored under its fence. */
export function createRun({ guarded, flights, owed, beforeReplay, options: o }: RunParts): Run {
  const { store, clock, logger } = o
  const claims = createRunClaims(guarded, store, clock)

  async function lead<T>(attempt: Attempt<T>, leader: Lead<Uint8Array>): Promise<Led<T>> {
    const { checked, claim, codec, untilMs } = attempt
    let won: Awaited<ReturnType<typeof claims.claim>>
    try {
      const late = (begin: Begin): void => void giveBack(attempt, begin)
      won = await claims.claim(checked.ref, claim, { untilMs, signal: checked.signal, late })
    } catch (error) {
      if (!isUnavailable(error)) throw error
      const { reason } = (error.details ?? {}) as { reason?: unknown }
      // Nothing was asked of a store whose guard is open.
      if (reason !== 'open' && reason !== 'overload') oweRelease(attempt)
      // Too many callers are no outage: they would run all at once.
      if (o.onStoreDown === 'run-unprotected' && reason !== 'overload') return unprotected(attempt)
      return together(refused('STORE_UNAVAILABLE', { retryAfter: error.retryAfter ?? 1_000, cause: error }))
    }
    const { begin, waited } = won
    if (begin.kind !== 'yours') return answered(begin, checked, codec, waited)
    // Before the work runs: what an earlier attempt saved may be what it must not do again.
    const checkpoint = await saved(attempt, begin)
    leader.claimed()
    return execute(attempt, { ...won, begin }, checkpoint)
  }

  async function execute<T>(
    attempt: Attempt<T>,
    { begin, sentMs, waited }: { begin: Yours; sentMs: number; waited: boolean },
    checkpoint: Uint8Array | undefined,
  ): Promise<Led<T>> {
    const { checked, claim, ctx } = attempt
    const own: Own = { nonce: claim.nonce, fence: begin.fence }
    if (begin.attempt > 1) logger.warn({ op: checked.op, attempt: begin.attempt }, 'an owner was lost: taken over')
    const lease = keepLease(clock, checked.leaseMs, sentMs, async (save) =>
      guarded.touch(checked.ref, own, checked.leaseMs, save && (await seal(o.protect, save, checked))),
    )
    const running = new RunningExecution({
      ...executionParts(attempt),
      attempt: begin.attempt,
      fence: begin.fence,
      checkpoint,
      lease,
    })
    let value: T
    let statements: readonly Statement[]
    let effects: readonly Effect[]
    let hints: readonly KeptHint[]
    try {
      value = await attempt.work(running)
      const end = running.end()
      for (const effect of end.perform) await effect.perform?.(ctx)
      ;({ statements, effects, hints } = end)
    } catch (error) {
      lease.stop()
      if (!lease.alive) await askable()
      return failed(attempt, own, running, lease, error)
    }
    lease.stop()
    if (!lease.alive) await askable()
    const encoded = await encode(value, attempt, hints)
    const as: Settlement =
      encoded.packed === undefined ? { kind: 'tombstone' } : { kind: 'done', bytes: encoded.packed }
    const outcome = (stored: boolean): Led<T> => {
      const run = { kind: 'executed', replayed: false, waited, attempt: begin.attempt } as const
      const shared = { ok: true, ...run, stored, operationId: ctx.operationId } as const
      return {
        outcome: { ...shared, value: encoded.value },
        shared: encoded.bytes === undefined ? undefined : { ...shared, value: encoded.bytes },
      }
    }
    const end = async (by: Own, forgotten?: (own: Own) => Promise<Led<T>>): Promise<Led<T>> => {
      const settle = (): Promise<'ok' | 'lost'> => guarded.settle(checked.ref, by, as, checked.retainMs, statements)
      try {
        const settled = await settle().catch((error: unknown) => {
          if (lease.alive || !isUnavailable(error)) throw error
          return insist(settle)
        })
        if (settled === 'lost') return await winnersAnswer(attempt, forgotten)
      } catch (error) {
        if (!isUnavailable(error)) return failed(attempt, by, running, lease, error)
        // The work is done, and that is what its caller hears.
        owed.add(`the end of ${checked.op}`, clock.monotonic() + checked.leaseMs, settle)
        return outcome(false)
      }
      if (effects.length > 0) await runAfterCommit(effects, ctx, { logger, clock })
      return outcome(as.kind === 'done')
    }
    // Within its lease nobody can have taken the key over: then the store has lost the record, and is told again.
    return end(own, lease.alive ? (again) => end(again) : undefined)
  }

  /**
   * A process that stood still comes back to a lease that is over and to calls that took too long, so its guard may be
   * open although the store is well. Whether the key is another's only the store can tell: it is asked a little longer.
   */
  async function insist<R>(ask: () => Promise<R>): Promise<R> {
    const untilMs = clock.monotonic() + o.storeTimeout + INSIST_MS
    for (;;) {
      await clock.sleep(INSIST_PAUSE_MS)
      try {
        return await ask()
      } catch (error) {
        if (!isUnavailable(error) || clock.monotonic() >= untilMs) throw error
      }
    }
  }

  /** Another may have had the key since its lease ended: then the store must be asked, if it can be. */
  function askable(): Promise<void> {
    return guarded.passable(LONGEST_PROBE_MS)
  }

  /** The work threw: the key is free again, or nobody knows how far it came. */
  async function failed<T>(
    attempt: Attempt<T>,
    own: Own,
    running: RunningExecution,
    lease: Lease,
    error: unknown,
  ): Promise<Led<T>> {
    const { checked } = attempt
    const known = checked.guarantee === 'at-least-once' || running.isNotStarted(error)
    // What was saved is for the next attempt: the key is free, but its record stays.
    const free = running.hasCheckpoint && !running.isNotStarted(error) ? 'lapse' : 'release'
    const as: Settlement = { kind: known ? free : 'unknown' }
    const settle = (): Promise<'ok' | 'lost'> => guarded.settle(checked.ref, own, as, checked.retainMs, [])
    const untilMs = clock.monotonic() + checked.leaseMs
    const settled = await settle().catch(() => owed.add(`the failure of ${checked.op}`, untilMs, settle))
    // The work ended because its lease had: that is no failure of its own.
    if (settled === 'lost' && isAbort(error, lease.signal)) return winnersAnswer(attempt)
    throw error
  }

  /**
   * The lease was lost: our own value must not be told, the winner's is. `forgotten` ends the run with the claim that
   * was won here, where nobody can have had one in between.
   */
  async function winnersAnswer<T>(attempt: Attempt<T>, forgotten?: (own: Own) => Promise<Led<T>>): Promise<Led<T>> {
    const { checked, claim, codec } = attempt
    logger.warn({ op: checked.op }, 'the lease of a run was lost: its answer is not used')
    const lost: Led<T> = { outcome: refused('LEASE_LOST', { retryAfter: 1_000 }), shared: undefined }
    const look: Claim = { ...claim, nonce: nonceOf(uuidv7(clock)), onLapsed: 'report' }
    const release = (begin: Begin): Promise<void> => giveBack({ ...attempt, claim: look }, begin)
    try {
      const untilMs = clock.monotonic() + checked.waitMs
      const { begin } = await claims.claim(checked.ref, look, {
        untilMs,
        signal: checked.signal,
        late: (begin) => void release(begin),
      })
      if (begin.kind === 'done') return await answered(begin, checked, codec, true)
      if (begin.kind === 'yours' && forgotten !== undefined) {
        return await forgotten({ nonce: look.nonce, fence: begin.fence })
      }
      await release(begin)
      return lost
    } catch (error) {
      if (isUnavailable(error)) return lost
      throw error
    }
  }

  /** Nobody else is kept from running the same, and nothing is stored. */
  async function unprotected<T>(attempt: Attempt<T>): Promise<Led<T>> {
    const { ctx, checked } = attempt
    logger.warn({ op: checked.op }, 'run unprotected: the idempotency store is down')
    const parts = { ...executionParts(attempt), transactional: false }
    const running = new RunningExecution({ ...parts, attempt: 1, fence: 0n, checkpoint: undefined, lease: undefined })
    const value = await attempt.work(running)
    const { perform, effects } = running.end()
    for (const effect of perform) await effect.perform?.(ctx)
    if (effects.length > 0) await runAfterCommit(effects, ctx, { logger, clock })
    const encoded = await encode(value, attempt, [])
    const run = { ok: true, kind: 'unprotected', replayed: false, waited: false, stored: false, attempt: 1 } as const
    const shared = { ...run, operationId: ctx.operationId }
    return {
      outcome: { ...shared, value: encoded.value },
      shared: encoded.bytes === undefined ? undefined : { ...shared, value: encoded.bytes },
    }
  }

  function executionParts<T>({ checked, ctx }: Attempt<T>) {
    return {
      ctx,
      leaseMs: checked.leaseMs,
      maxBytes: o.maxStoredBytes,
      bestEffort: checked.bestEffort,
      transactional: isTransactional(store),
    }
  }

  /** What the caller gets is what a repeat will get. What has no bytes is told once, and never run again. */
  async function encode<T>(
    value: T,
    { codec, checked }: Attempt<T>,
    hints: readonly KeptHint[],
  ): Promise<{ value: T; bytes: Uint8Array | undefined; packed: Uint8Array | undefined }> {
    try {
      const bytes: unknown = codec.encode(value)
      if (!(bytes instanceof Uint8Array)) throw new TypeError('encode() must answer a Uint8Array')
      const packed = packAnswer(bytes, hints)
      const isKept = packed.length <= checked.maxStoredBytes
      const kept = isKept ? await seal(o.protect, packed, checked) : undefined
      return { value: codec.decode(bytes), bytes, packed: kept }
    } catch (error) {
      logger.warn({ err: error }, 'an answer cannot be stored: its key will not run again')
      return { value, bytes: undefined, packed: undefined }
    }
  }

  /** What a record that is not ours means to the caller. */
  async function answered<T>(
    held: Held,
    { ref, scope, op }: CheckedCall,
    codec: Codec<T>,
    waited: boolean,
  ): Promise<Led<T>> {
    switch (held.kind) {
      case 'done': {
        const { attempt, operationId, trace, stored = true } = held
        const { answer, hints } = unpackAnswer(await open(o.protect, held.bytes, { scope, ref }))
        if (hints.length > 0) await beforeReplay(hints, { operationId, scope, op })
        const run = { kind: 'replayed', replayed: true, waited, stored, attempt, operationId } as const
        const link = trace?.traceparent === undefined ? {} : { firstTraceparent: trace.traceparent }
        const shared = { ok: true, ...run, ...link, value: answer } as const
        return { outcome: decoded(shared, codec), shared }
      }
      case 'busy':
        return { outcome: refused('KEY_IN_USE', { retryAfter: held.leaseLeftMs }), shared: undefined }
      case 'mismatch':
        return together(refused('KEY_REUSED'))
      case 'tombstone':
        return together(refused('ANSWER_NOT_RETAINED'))
      case 'unknown':
      case 'lapsed':
        return together(refused('OUTCOME_UNKNOWN'))
    }
  }

  /** What was saved, opened. When it cannot be, the key is given back as it was. */
  async function saved<T>(attempt: Attempt<T>, begin: Yours): Promise<Uint8Array | undefined> {
    if (begin.checkpoint === undefined) return undefined
    try {
      return await open(o.protect, begin.checkpoint, attempt.checked)
    } catch (error) {
      await giveBack(attempt, begin)
      throw error
    }
  }

  /** A claim that nobody wants any more. Of a lost owner's key only the lease ends: attempts and what it saved stay. */
  async function giveBack<T>({ checked, claim }: Attempt<T>, begin: Begin): Promise<void> {
    if (begin.kind !== 'yours') return
    const { ref, op, leaseMs, retainMs } = checked
    const own = { nonce: claim.nonce, fence: begin.fence }
    const as: Settlement = { kind: begin.attempt > 1 ? 'lapse' : 'release' }
    const release = (): Promise<unknown> => guarded.settle(ref, own, as, retainMs, [])
    await release().catch(() => owed.add(`a late claim of ${op}`, clock.monotonic() + leaseMs, release))
  }

  /** The store may have claimed and its reply may have been lost: claiming again finds it, and gives it back. */
  function oweRelease<T>(attempt: Attempt<T>): void {
    const { checked, claim } = attempt
    const again: Claim = { ...claim, onLapsed: 'report' }
    owed.add(`a claim of ${checked.op}`, clock.monotonic() + checked.leaseMs, async () => {
      const begin = await guarded.begin(checked.ref, again, (late) => void giveBack(attempt, late))
      await giveBack(attempt, begin)
    })
  }

  async function begun<T>(call: RunCall<T>, work: (x: Execution) => Promise<T>): Promise<Outcome<T>> {
    const checked = checkCall(call, o)
    const codec = call.codec ?? (jsonCodec as Codec<T>)
    const untilMs = clock.monotonic() + checked.waitMs
    const key = textOf(checked.ref)
    const { fingerprint, signal } = checked
    const joined = await flights.join(key, { fingerprint, signal, untilMs })
    if ('outcome' in joined) {
      return joined.outcome.ok ? decoded(joined.outcome, codec) : joined.outcome
    }
    let led: Led<T> | undefined
    try {
      const ctx = effectContext({ scope: checked.scope, op: checked.op, clock })
      led = await lead({ checked, claim: claimOf(checked, ctx.operationId), ctx, codec, work, untilMs }, joined.lead)
      return led.outcome
    } finally {
      joined.lead.end(led?.shared)
    }
  }
  return begun
}

function claimOf(checked: CheckedCall, operationId: string): Claim {
  const { fingerprint, subject, leaseMs, retainMs, guarantee, scope, op } = checked
  return {
    nonce: nonceOf(operationId),
    leaseMs,
    retainMs,
    onLapsed: guarantee === 'at-least-once' ? 'take' : 'report',
    scope,
    op,
    trace: traceOfContext(),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(subject === undefined ? {} : { subject }),
  }
}

function together(refusal: Refused): { outcome: Refused; shared: Refused } {
  return { outcome: refusal, shared: refusal }
}

function decoded<T>(outcome: Executed<Uint8Array>, codec: Codec<T>): Executed<T> {
  return { ...outcome, value: codec.decode(outcome.value) }
}

function isUnavailable(error: unknown): error is KeelsonError {
  return isKeelsonError(error, 'STORE_UNAVAILABLE') || isKeelsonError(error, 'COMMIT_UNKNOWN')
}

/** The signal's reason, or what a client made of it. */
function isAbort(error: unknown, { aborted, reason }: AbortSignal): boolean {
  return aborted && (error === reason || (error as { name?: unknown } | null)?.name === 'AbortError')
}
