import type { TransactionalIdempotency, TransactionCall } from '@keelson/idempotency'
import { isKeelsonError, reply, type KeelsonError, type Reply, type StoredResponse } from '@keelson/kernel'
import type { Work } from './operation.ts'
import { HttpProblem } from './problem.ts'
import { asReply } from './replies.ts'
import { storedHeaders } from './stored-headers.ts'

const REPLAYED = ['Idempotent-Replayed', 'true'] as const

/**
 * A write under an idempotency key: claim, rows, effects and answer in one commit; the answer of an earlier one is
 * given again. The first answer carries headers that are not stored.
 * Rejects with what `work` threw.
 */
export async function guardedWrite(
  idempotency: Pick<TransactionalIdempotency, 'transaction'>,
  call: TransactionCall,
  work: Work,
  correlationHeader: string,
): Promise<{ response: StoredResponse } | { refusal: KeelsonError }> {
  let answered: Reply | undefined
  let began = false
  try {
    const outcome = await idempotency.transaction(call, async (tx, op) => {
      began = true
      answered = asReply(await work(tx, op))
      return stored(answered, correlationHeader)
    })
    if (!outcome.ok) return { refusal: outcome.error() }
    if (!outcome.replayed && answered !== undefined) return { response: answered.response }
    const { status, headers, body } = outcome.value
    return { response: { status, headers: [...headers, REPLAYED], body } }
  } catch (error) {
    // A body such as {"a":"\ud800"} is JSON, but has no canonical form.
    if (began || !isKeelsonError(error, 'INPUT_NOT_HASHABLE')) throw error
    return { refusal: new HttpProblem(400, 'input-invalid', { detail: error.message, cause: error }) }
  }
}

/** The same answer and effects without the headers that are not stored. */
function stored({ response, effects }: Reply, correlationHeader: string): Reply {
  const { status, headers, body } = response
  return reply(status, body.length === 0 ? undefined : body, effects, storedHeaders(headers, correlationHeader))
}
