import type { Failure, FailureKind, Outcome } from './outcome.ts'
import type { Child, SignalHub } from './parent-signals.ts'
import { refusalError } from './refusals.ts'

/**
 * A fallback that is asked. It has no deadline, since it is what answers behind one, but nobody waits for it longer than
 * for the call: the caller's abort and the end of the pipeline end it.
 */
export class FallingBack implements Child {
  readonly #pipeline: string
  readonly #failure: Failure
  readonly #settle: (outcome: Outcome<unknown>) => void
  #isSettled = false
  hub: SignalHub | undefined = undefined
  hubBefore: Child | undefined = undefined
  hubAfter: Child | undefined = undefined

  constructor(pipeline: string, failure: Failure, settle: (outcome: Outcome<unknown>) => void) {
    this.#pipeline = pipeline
    this.#failure = failure
    this.#settle = settle
  }

  async begin(ask: (failure: Failure) => unknown): Promise<void> {
    try {
      const value = await ask(this.#failure)
      this.#end({ ok: true, value, attempts: this.#failure.attempts, fallback: true })
    } catch (error) {
      this.#end({ ...this.#failure, error: caused(error, this.#failure.error) })
    }
  }

  abort(reason: unknown): void {
    this.#fail('aborted', reason)
  }

  close(): void {
    this.#fail('closed', refusalError(this.#pipeline, 'closed', undefined))
  }

  #fail(kind: FailureKind, error: unknown): void {
    this.#end({ ok: false, kind, error, attempts: this.#failure.attempts })
  }

  #end(outcome: Outcome<unknown>): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.hub?.remove(this)
    this.#settle(outcome)
  }
}

/** What a fallback throws comes with the failure that it was asked for. */
export function caused(error: unknown, cause: unknown): unknown {
  if (error instanceof Error && error !== cause && error.cause === undefined && Object.isExtensible(error)) {
    error.cause = cause
  }
  return error
}
