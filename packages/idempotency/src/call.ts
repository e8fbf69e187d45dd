import { checkOptions, context, opt, type Codec, type Duration, type Resolved } from '@keelson/kernel'
import { IdempotencyError, optionFailure } from './error.ts'
import { checkFingerprint, fingerprintOf, type Fingerprint } from './fingerprint.ts'
import { LEASE_LIMITS, RETAIN_LIMITS, WAIT_LIMITS, type CheckedOptions, type Guarantee } from './options.ts'
import { checkRef, checkText, digestRef, digestSubject, type Ref, type RefDigest } from './ref.ts'

/** One call of an operation. */
export interface Call extends Ref {
  /** A JSON value that a repeat must equal, by its RFC 8785 form. */
  readonly input?: unknown
  /** The same, computed by the caller. Not together with `input`; without both nothing is compared. */
  readonly fingerprint?: Fingerprint
  /** How long to wait for a first call in flight; default the instance's. */
  readonly wait?: Duration
  /** How long to keep the answer, from completion; default the instance's. */
  readonly retain?: Duration
  /** How long a lost owner holds the key, or how long a transaction may stand still; default the instance's. */
  readonly lease?: Duration
  /** Of `run()`; default the instance's. */
  readonly guarantee?: Guarantee
  /** Ends the waiting for another call, never the work. A function is asked for it once there is something to wait for. */
  readonly signal?: AbortSignal | (() => AbortSignal)
  /** The person whom the answer speaks of, 1 to 128 characters; default the context's principal. Kept as a digest. */
  readonly subject?: string
}

/** A call of `transaction()`. */
export interface TransactionCall extends Call {
  /** Restarts after a serialization failure or a deadlock; default 2. */
  readonly retries?: number
  /** Accepts effects without `statements`: they are performed before the commit and may happen alone. */
  readonly bestEffort?: boolean
}

/** A call of `run()`. */
export interface RunCall<T> extends Call {
  /** The value as bytes for the store; default `jsonCodec`. */
  readonly codec?: Codec<T>
  /** Accepts effects that cannot be committed with the answer: they are performed before it is stored. */
  readonly bestEffort?: boolean
  /** Of the answer; default the instance's. */
  readonly maxStoredBytes?: number
}

/** Characters of a subject. */
const MAX_SUBJECT = 128

/** A call as the core works on it. */
export interface CheckedCall {
  readonly ref: RefDigest
  readonly scope: string
  readonly op: string
  readonly fingerprint: Fingerprint | undefined
  readonly waitMs: number
  readonly retainMs: number
  readonly leaseMs: number
  readonly guarantee: Guarantee
  readonly retries: number
  readonly bestEffort: boolean
  readonly maxStoredBytes: number
  readonly signal: Call['signal']
  readonly subject: Uint8Array | undefined
}

const SPEC = {
  wait: opt.duration(undefined, WAIT_LIMITS),
  retain: opt.duration(undefined, RETAIN_LIMITS),
  lease: opt.duration(undefined, LEASE_LIMITS),
  guarantee: opt.custom<Guarantee>(
    "'at-least-once' or 'at-most-once'",
    (given) => given === 'at-least-once' || given === 'at-most-once',
  ),
  codec: opt.port<Codec<unknown>>(['encode', 'decode']),
  retries: opt.integer(2, { max: 100 }),
  bestEffort: opt.boolean(false),
  maxStoredBytes: opt.custom<number>(
    'an integer of at least 0',
    (given) => Number.isSafeInteger(given) && (given as number) >= 0,
  ),
}

type Given = { readonly [option in keyof typeof SPEC]?: unknown }

/** What was read last: the calls of one place all have the same options. */
let last: { readonly given: Given; readonly read: Resolved<typeof SPEC> } = {
  given: {},
  read: checkOptions('call', {}, SPEC),
}

/** A call's options, without what names the call. */
function readOptions(call: TransactionCall & RunCall<unknown>): Resolved<typeof SPEC> {
  const { wait, retain, lease, guarantee, codec, retries, bestEffort, maxStoredBytes } = call
  const before = last.given
  if (
    wait === before.wait &&
    retain === before.retain &&
    lease === before.lease &&
    guarantee === before.guarantee &&
    codec === before.codec &&
    retries === before.retries &&
    bestEffort === before.bestEffort &&
    maxStoredBytes === before.maxStoredBytes
  ) {
    return last.read
  }
  const given = { wait, retain, lease, guarantee, codec, retries, bestEffort, maxStoredBytes }
  last = { given, read: checkOptions('call', given, SPEC, optionFailure) }
  return last.read
}

/**
 * Reads a call once.
 * @throws IdempotencyError SCOPE_INVALID, OP_INVALID, KEY_INVALID, INPUT_INVALID, INPUT_NOT_HASHABLE,
 * FINGERPRINT_INVALID, OPTION_INVALID
 */
export function checkCall(
  call: TransactionCall | RunCall<unknown>,
  defaults: Pick<CheckedOptions, 'wait' | 'retain' | 'lease' | 'guarantee' | 'maxStoredBytes'>,
): CheckedCall {
  if (typeof call !== 'object' || call === null) {
    throw new IdempotencyError('INPUT_INVALID', 'a call must be an object { scope, op, key, .. }')
  }
  checkRef(call)
  if (call.input !== undefined && call.fingerprint !== undefined) {
    throw new IdempotencyError('INPUT_INVALID', 'give "input" or "fingerprint", not both')
  }
  if (call.subject !== undefined) checkText('INPUT_INVALID', 'subject', call.subject, MAX_SUBJECT)
  if (typeof call.signal !== 'function') checkSignal(call.signal)
  const o = readOptions(call)
  const subject = call.subject ?? principalId()
  return {
    ref: digestRef(call),
    scope: call.scope,
    op: call.op,
    fingerprint: fingerprintOfCall(call),
    waitMs: Math.min(o.wait ?? defaults.wait, context.remaining()),
    retainMs: o.retain ?? defaults.retain,
    leaseMs: o.lease ?? defaults.lease,
    guarantee: o.guarantee ?? defaults.guarantee,
    retries: o.retries,
    bestEffort: o.bestEffort,
    maxStoredBytes: o.maxStoredBytes ?? defaults.maxStoredBytes,
    signal: call.signal,
    subject: subject === undefined ? undefined : digestSubject(call.scope, subject),
  }
}

function fingerprintOfCall({ input, fingerprint }: Call): Fingerprint | undefined {
  if (fingerprint !== undefined) return checkFingerprint(fingerprint)
  return input === undefined ? undefined : fingerprintOf(input)
}

function principalId(): string | undefined {
  const id: unknown = context.get()?.principal?.id
  if (id === undefined || typeof id === 'string') return id
  throw new IdempotencyError('INPUT_INVALID', `the id of the context's principal must be a text (got ${typeof id})`)
}

/** The signal that ends a call's waiting. @throws IdempotencyError INPUT_INVALID */
export function signalOf(given: Call['signal']): AbortSignal | undefined {
  const signal = typeof given === 'function' ? given() : given
  checkSignal(signal)
  return signal
}

/** It is listened to once there is something to wait for: a wrong one would be seen under load alone. */
function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  throw new IdempotencyError('INPUT_INVALID', '"signal" must be an AbortSignal or a function that answers one')
}

/** @throws IdempotencyError INPUT_INVALID */
export function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw new IdempotencyError('INPUT_INVALID', 'the work must be a function')
}
