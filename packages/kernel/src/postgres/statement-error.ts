import { KernelError } from '../kernel-error.ts'
import type { Statement } from '../tx.ts'
import { sqlState } from './sql-state.ts'
import { endedByWork, isStillOpen } from './still-open.ts'

const DIVISION_BY_ZERO = '22012'

/** A statement that may know its effect. */
interface OwnedStatement extends Statement {
  /** Set by `effectStatements`, to name the effect in an error. */
  readonly kind?: string
}

/** `error`, or EFFECT_INVALID where the statement itself is at fault. */
export function statementError(error: unknown, statement: OwnedStatement | undefined): unknown {
  if (statement === undefined) return error
  if (isStillOpen(statement) && sqlState(error) === DIVISION_BY_ZERO) return endedByWork(error)
  if (isSeveralCommands(error)) return severalCommands(statement, error)
  // Drivers raise it while they write a value: a cycle, a BigInt inside JSON.
  return (error as Error | null)?.name === 'TypeError' ? notBindable(statement, error as Error) : error
}

/** A value that the driver cannot write. */
export function notBindable(statement: OwnedStatement, cause: Error): KernelError {
  return new KernelError('EFFECT_INVALID', `${owner(statement)}: a value cannot be bound: ${cause.message}`, { cause })
}

/** Text with more than one command: a COMMIT could hide in it. */
export function severalCommands(statement: OwnedStatement, cause?: unknown): KernelError {
  return new KernelError('EFFECT_INVALID', `${owner(statement)} must be exactly one SQL statement`, { cause })
}

/** By the server's function, since its message may be in any language. */
function isSeveralCommands(error: unknown): boolean {
  return sqlState(error) === '42601' && (error as { routine?: unknown }).routine === 'exec_parse_message'
}

function owner(statement: OwnedStatement): string {
  const text = statement.text.slice(0, 60).replace(/\s+/g, ' ')
  return statement.kind === undefined ? `statement '${text}'` : `effect '${statement.kind}', statement '${text}'`
}
