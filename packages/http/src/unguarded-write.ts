import { endOf, uuidv7, type Clock, type Logger, type Reply, type StoredResponse } from '@keelson/kernel'
import { effectContext, effectStatements, runAfterCommit, unit, type DatabaseLike } from '@keelson/kernel/postgres'
import type { Exchange } from './exchange.ts'
import { operationName } from './operation-name.ts'
import type { Operation, Work } from './operation.ts'
import { asReply } from './replies.ts'

/** Where a remembered refusal takes the business rows back to. */
const SAVEPOINT = 'keelson_work'

/** One for all: it captures a stack, which costs more than the rest of an end. */
const ENDED = new DOMException('the transaction has ended', 'AbortError')

/**
 * A write without an idempotency key: rows and effects in one commit. A refusal (4xx) takes the rows back and commits
 * its effects, so that it can be audited; see `endOf` for what leaves nothing.
 * Rejects with what `work` threw, after a rollback, and with the errors of `unit` and `effectStatements`.
 */
export async function unguardedWrite(
  { method, path }: Pick<Exchange, 'method' | 'path'>,
  o: { db: DatabaseLike; scope: string | undefined; retries: number; clock: Clock; logger: Logger },
  work: Work,
): Promise<StoredResponse> {
  const ended = new AbortController()
  const operation: Operation = {
    operationId: uuidv7(o.clock),
    ...(o.scope === undefined ? {} : { scope: o.scope }),
    op: operationName(method, path),
    signal: ended.signal,
  }
  const ctx = effectContext({ ...operation, clock: o.clock })
  try {
    const { response, effects } = await unit<Pick<Reply, 'response' | 'effects'>>(o.db, {
      open: [{ text: `savepoint ${SAVEPOINT}` }],
      retries: o.retries,
      async work(tx) {
        const answer = asReply(await work(tx, operation))
        const end = endOf(answer.response.status)
        if (end === 'rollback') return { end, value: { response: answer.response, effects: [] } }
        const undo = end === 'remember' ? [{ text: `rollback to savepoint ${SAVEPOINT}` }] : []
        const { statements } = effectStatements(answer.effects, ctx, { bestEffort: false })
        return { end: 'commit', statements: [...undo, ...statements], value: answer }
      },
    })
    await runAfterCommit(effects, ctx, { logger: o.logger, clock: o.clock })
    return response
  } finally {
    ended.abort(ENDED)
  }
}
