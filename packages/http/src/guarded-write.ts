import type { TransactionalIdempotency, TransactionCall } from '@keelson/idempotency'
import { reply, type KeelsonError, type Reply, type StoredResponse } from '@keelson/kernel'
import type { CapturedWriteParts } from './captured-write.ts'
import { isKept } from './decide-answer.ts'
import type { Exchange } from './exchange.ts'
import { inputProblem } from './input-problem.ts'
import type { Work } from './operation.ts'
import { replay } from './replay.ts'
import { asReply } from './replies.ts'
import { storedHeaders } from './stored-headers.ts'

/** Takes everything back. */
const UNKEPT = new Error('the answer is not kept')

/**
 * A write under an idempotency key: claim, rows, effects and answer in one commit; the answer of an earlier one is
 * given again. The first answer carries headers that are not stored.
 * Rejects with what `work` threw.
 */
export async function guardedWrite(
  x: Exchange,
  idempotency: Pick<TransactionalIdempotency, 'transaction'>,
  call: TransactionCall,
  work: Work,
  { correlationHeader, told, preset }: Pick<CapturedWriteParts, 'correlationHeader' | 'told' | 'preset'>,
): Promise<{ response: StoredResponse } | { refusal: KeelsonError }> {
  let answered: Reply | undefined
  let began = false
  try {
    const outcome = await idempotency.transaction(call, async (tx, op) => {
      began = true
      answered = asReply(await work(tx, op))
      if (preset === 'receive' && !isKept(answered.response.status, preset)) throw UNKEPT
      return stored(answered, correlationHeader)
    })
    told(outcome)
    if (!outcome.ok) return { refusal: outcome.error() }
    if (!outcome.replayed && answered !== undefined) return { response: answered.response }
    return { response: replay(x, outcome.value) }
  } catch (error) {
    if (error === UNKEPT) return { response: answered!.response }
    const refusal = began ? undefined : inputProblem(error)
    if (refusal === undefined) throw error
    return { refusal }
  }
}

/** The same answer and effects without the headers that are not stored. */
function stored({ response, effects }: Reply, correlationHeader: string): Reply {
  const { status, headers, body } = response
  return reply(status, body.length === 0 ? undefined : body, effects, storedHeaders(headers, correlationHeader))
}
