import { isKeelsonError } from '../error.ts'

/** Five characters with a digit among them, which tells them from Node's EPIPE and EPERM. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/

/** The SQLSTATE of an error that the server sent; undefined for one that did not come from it. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' && SQLSTATE.test(code) ? code : undefined
}

/** 40001 serialization_failure and 40P01 deadlock_detected: the same work can succeed on a new snapshot. */
export const SERIALIZATION_FAILURES: readonly string[] = ['40001', '40P01']

/** ORMs wrap the driver's error, so causes count too; an error of ours is a verdict of its own. */
export function causedBy(error: unknown, sqlStates: readonly string[]): boolean {
  for (let cause = error; cause instanceof Error && !isKeelsonError(cause); cause = cause.cause) {
    if (sqlStates.includes(sqlState(cause) ?? '')) return true
  }
  return false
}
