import type { Execution, Idempotency, Outcome, RunCall } from '@keelson/idempotency'
import { responseCodec, traced, type Clock, type Codec, type KeelsonError, type StoredResponse } from '@keelson/kernel'
import { afterLeaving } from './after-leaving.ts'
import { decideAnswer } from './decide-answer.ts'
import type { Captured, Exchange } from './exchange.ts'
import { inputProblem } from './input-problem.ts'
import type { CheckedIdempotentRule } from './policy.ts'
import { replay } from './replay.ts'

/** What a captured write has from its http. */
export interface CapturedWriteParts {
  readonly idempotency: Pick<Idempotency, 'run'>
  /** Larger bodies are not kept. */
  readonly maxBytes: number
  readonly correlationHeader: string
  /** Which answers are kept. */
  readonly preset: CheckedIdempotentRule['preset']
  readonly clock: Clock
  /** What is answered to a refusal. */
  refuse(error: KeelsonError): StoredResponse
  /** What came of the call, also when its answer is that of another run. */
  told(outcome: Outcome<unknown>): void
  /** Awaited when the key is claimed. What it rejects with is the answer: the handler does not run, and the key is free. */
  entering?: (() => Promise<void>) | undefined
  /** Awaited before the answer is stored. */
  settled?: ((captured: Captured) => Promise<void>) | undefined
  /** Why an answer that should have been kept is not. */
  report(what: NotKept, error?: unknown): void
}

/** 'left': the client left and the handler never ended its answer; 'failed': the store did not take it. */
type NotKept = 'too-large' | 'stream' | 'content-encoding' | 'left' | 'failed'

/** Room for status and headers beside the body that may be kept: Node takes no larger head itself. */
const HEAD_BYTES = 65_536

/** An answer to keep, or why it is not kept. */
type Kept = StoredResponse | { readonly notKept: string }

/** What the codec of a run refuses spends the key: it never runs again. */
const keptCodec: Codec<Kept> = {
  encode(kept) {
    if ('notKept' in kept) throw new TypeError(`the answer is not kept: ${kept.notKept}`)
    return responseCodec.encode(kept)
  },
  decode: (bytes) => responseCodec.decode(bytes),
}

/**
 * A write by a handler of any style: its key is claimed first, and its answer is stored before the last byte leaves.
 * Resolves with undefined when the handler is to run, else with what to answer in its place.
 * Rejects with the core's errors for a call that cannot be read.
 */
export function capturedWrite(
  x: Exchange,
  call: RunCall<unknown>,
  parts: CapturedWriteParts,
): Promise<StoredResponse | undefined> {
  const first = Promise.withResolvers<StoredResponse | undefined>()
  const kept = Promise.withResolvers<Kept>()
  let hasEntered = false
  let released: Error | undefined

  /** The work ends without an answer to keep. */
  function release(error: Error): void {
    released = error
    kept.reject(error)
  }

  /** The work of the core: it lasts as long as the handler's answer. */
  async function work(execution: Execution): Promise<Kept> {
    if (parts.entering !== undefined) {
      await parts.entering().catch((error: Error) => {
        throw execution.notStarted(error)
      })
    }
    if (execution.fence === 0n) x.setHeader('Idempotency-Status', 'unprotected')
    const leaving = afterLeaving(x, parts.clock, execution.leaseMs, () => {
      parts.report('left')
      release(new Error('the client left, and the handler did not end its answer'))
    })
    x.capture({ maxBytes: parts.maxBytes, hold: 'last' }, async (captured) => {
      leaving.cancel()
      await parts.settled?.(captured)
      settle(captured, execution)
      return traced('http:capture', () => messageOf(x, captured), otherAnswer)
    })
    hasEntered = true
    first.resolve(undefined)
    return kept.promise
  }

  function settle(captured: Captured, execution: Execution): void {
    const decision = decideAnswer(captured, { ...parts, isHead: x.method === 'HEAD' })
    switch (decision.kind) {
      case 'keep':
        return kept.resolve(decision.response)
      case 'spend':
        parts.report(decision.why)
        return kept.resolve({ notKept: decision.why })
      case 'release': {
        const error = new Error(decision.why)
        return release(decision.hasBegun ? error : execution.notStarted(error))
      }
    }
  }

  /** The handler's answer goes out as it is, unless another run of the key has come before it. */
  async function otherAnswer(): Promise<StoredResponse | undefined> {
    try {
      return answerOf(await outcome)
    } catch (error) {
      if (error !== released) parts.report('failed', error)
      return undefined
    }
  }

  function answerOf(outcome: Outcome<Kept>): StoredResponse | undefined {
    parts.told(outcome)
    if (!outcome.ok) return parts.refuse(outcome.error())
    return outcome.replayed ? replay(x, outcome.value as StoredResponse) : undefined
  }

  const maxStoredBytes = parts.maxBytes + HEAD_BYTES
  const outcome = parts.idempotency.run<Kept>({ ...call, codec: keptCodec, maxStoredBytes }, (execution) =>
    work(execution),
  )
  async function answerInstead(): Promise<StoredResponse | undefined> {
    try {
      return answerOf(await outcome)
    } catch (error) {
      const refusal = inputProblem(error)
      if (refusal === undefined) throw error
      return parts.refuse(refusal)
    }
  }

  /** Heard to its end, also when nobody asks for it: a handler may never answer. */
  const over = (): void => {
    if (!hasEntered) first.resolve(answerInstead())
  }
  outcome.then(over, over)
  return first.promise
}

/** What listeners of `keelson:http:capture` are told, from the end of an answer to its being stored. */
function messageOf({ method, route }: Exchange, captured: Captured): object {
  const { kind } = captured
  return kind === 'whole'
    ? { method, route, kind, status: captured.response.status, bytes: captured.response.body.length }
    : { method, route, kind }
}
