import { KernelError } from '../kernel-error.ts'
import type { Statement } from '../tx.ts'
import { prepared } from './prepared.ts'

/** A mark that lives as long as the transaction: any end of it takes the mark back, also one that hides in an effect,
 *  in a text with several commands or behind `raw`. One expression of a SELECT. */
export const MARK_OPEN = "set_config('keelson.unit', 'open', true)"

/** Divides by zero unless this is the transaction that the unit began. */
const STILL_OPEN = "select 1 / (coalesce(current_setting('keelson.unit', true), '') = 'open')::int"

/** True for the statement of ours that looks. */
export function isStillOpen(statement: Statement | undefined): boolean {
  return statement?.text === STILL_OPEN
}

/**
 * A unit's last statements with the look at the mark. It comes first, since what follows would stay for itself on a
 * transaction that has ended. Behind a failed statement it comes last: the others may go back to a savepoint, and if
 * they do not, it brings the error out that COMMIT would keep to itself.
 */
export function closing(statements: readonly Statement[], failure: Error | undefined): Statement[] {
  const look = prepared(STILL_OPEN)
  return failure === undefined ? [look, ...statements] : [...statements, look]
}

/** What the failure of that look means. */
export function endedByWork(cause: unknown): KernelError {
  const message =
    'the work or an effect ended the transaction by itself; what it wrote until then may be committed without the rest'
  return new KernelError('INPUT_INVALID', message, { cause })
}
