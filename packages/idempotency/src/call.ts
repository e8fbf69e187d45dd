import { checkOptions, context, opt, type Duration } from '@keelson/kernel'
import { IdempotencyError, optionFailure } from './error.ts'
import { checkFingerprint, fingerprintOf, type Fingerprint } from './fingerprint.ts'
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
  /** Ends the waiting for another call, never the work. */
  readonly signal?: AbortSignal
  /** Restarts after a serialization failure or a deadlock; default 2. */
  readonly retries?: number
  /** Accepts effects without `statements`: they are performed before the commit and may happen alone. */
  readonly bestEffort?: boolean
  /** The person whom the answer speaks of, 1 to 128 characters; default the context's principal. Kept as a digest. */
  readonly subject?: string
}

/** A call as the core works on it. */
export interface CheckedCall {
  readonly ref: RefDigest
  readonly scope: string
  readonly op: string
  readonly fingerprint: Fingerprint | undefined
  readonly waitMs: number
  readonly retainMs: number
  readonly retries: number
  readonly bestEffort: boolean
  readonly signal: AbortSignal | undefined
  readonly subject: Uint8Array | undefined
}

const SPEC = {
  wait: opt.duration(undefined, { max: '1h' }),
  retain: opt.duration(undefined, { min: 1, max: '3650d' }),
  retries: opt.integer(2, { max: 100 }),
  bestEffort: opt.boolean(false),
}

/** A call's options, without what names the call. */
function optionsOf({ wait, retain, retries, bestEffort }: Call): object {
  return { wait, retain, retries, bestEffort }
}

/**
 * Reads a call once.
 * @throws IdempotencyError SCOPE_INVALID, OP_INVALID, KEY_INVALID, INPUT_INVALID, INPUT_NOT_HASHABLE,
 * FINGERPRINT_INVALID, OPTION_INVALID
 */
export function checkCall(call: Call, defaults: { waitMs: number; retainMs: number }): CheckedCall {
  if (typeof call !== 'object' || call === null) {
    throw new IdempotencyError('INPUT_INVALID', 'a call must be an object { scope, op, key, .. }')
  }
  checkRef(call)
  if (call.input !== undefined && call.fingerprint !== undefined) {
    throw new IdempotencyError('INPUT_INVALID', 'give "input" or "fingerprint", not both')
  }
  if (call.subject !== undefined) checkText('INPUT_INVALID', 'subject', call.subject, 128)
  const { wait, retain, retries, bestEffort } = checkOptions('call', optionsOf(call), SPEC, optionFailure)
  const subject = call.subject ?? context.get()?.principal?.id
  return {
    ref: digestRef(call),
    scope: call.scope,
    op: call.op,
    fingerprint: fingerprintOfCall(call),
    waitMs: Math.min(wait ?? defaults.waitMs, context.remaining()),
    retainMs: retain ?? defaults.retainMs,
    retries,
    bestEffort,
    signal: call.signal,
    subject: subject === undefined ? undefined : digestSubject(call.scope, subject),
  }
}

function fingerprintOfCall({ input, fingerprint }: Call): Fingerprint | undefined {
  if (fingerprint !== undefined) return checkFingerprint(fingerprint)
  return input === undefined ? undefined : fingerprintOf(input)
}
