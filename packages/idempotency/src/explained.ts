import { unpackAnswer, type KeptHint } from './answer.ts'
import { open, type Protection } from './protection.ts'
import type { TracedRecord } from './store.ts'

/** A line of an explanation. */
export interface Explained {
  readonly at: number
  readonly kind: 'idempotency.claim' | 'idempotency.effect'
  readonly text: string
}

/** A record in words, and the effects that a replay of it would make sure of. */
export async function explained(record: TracedRecord, protect: Protection | undefined): Promise<Explained[]> {
  const { atMs: at, state, attempt, operationId, scope, op } = record
  const of = `${op || 'an operation'}${scope ? ` of scope '${scope}'` : ''}`
  const claim: Explained = {
    at,
    kind: 'idempotency.claim',
    text: `${of}: ${state}, attempt ${attempt}, operation ${operationId}`,
  }
  const effects = (await hintsOf(record, protect)).map(({ kind, hint }): Explained => ({
    at,
    kind: 'idempotency.effect',
    text: `${kind} ${JSON.stringify(hint)}, committed by operation ${operationId}`,
  }))
  return [claim, ...effects]
}

/** An answer that cannot be opened, or read, says nothing here. */
async function hintsOf(
  { bytes, scope, ref }: TracedRecord,
  protect: Protection | undefined,
): Promise<readonly KeptHint[]> {
  if (bytes === undefined || (protect !== undefined && scope === undefined)) return []
  try {
    return unpackAnswer(await open(protect, bytes, { scope: scope!, ref })).hints
  } catch {
    return []
  }
}
