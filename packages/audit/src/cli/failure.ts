/** Nothing is wrong, or nothing was to be checked. */
export const OK = 0
/** The log is broken. */
export const BROKEN = 1
/** Nothing can be told: bad arguments, a store that does not answer, a log that is not there. */
export const FAILED = 2

/** Why a command ends: one line, without a stack. */
export class Failure extends Error {
  override readonly name = 'Failure'
}
