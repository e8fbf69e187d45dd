import type { Call } from './call.ts'
import type { Execution } from './execution.ts'
import type { Run } from './run.ts'

/** What becomes of a message: acknowledge it, come back after so many ms, or put it aside for a person. */
export type Consumed = 'processed' | 'duplicate' | { readonly busy: number } | { readonly unknown: true }

/** After a refusal that says no time of its own, ms. */
const BUSY_MS = 1_000

/** One message of a queue: `work` runs once per key. */
export async function consume(run: Run, call: Call, work: (x: Execution) => Promise<void>): Promise<Consumed> {
  const outcome = await run({ ...call, codec: NO_ANSWER }, work)
  if (outcome.ok) return outcome.replayed ? 'duplicate' : 'processed'
  switch (outcome.code) {
    case 'ANSWER_NOT_RETAINED':
      return 'duplicate'
    case 'OUTCOME_UNKNOWN':
      return { unknown: true }
    case 'KEY_IN_USE':
    case 'TOO_MANY_WAITERS':
    case 'LEASE_LOST':
      return { busy: outcome.retryAfter ?? BUSY_MS }
    case 'KEY_REUSED':
    case 'STORE_UNAVAILABLE':
      throw outcome.error()
  }
}

const NO_ANSWER = { encode: () => new Uint8Array(0), decode: () => undefined }
