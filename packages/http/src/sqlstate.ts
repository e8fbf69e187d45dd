/** What a driver's SQLSTATE means to a client (PostgreSQL, appendix A). */
export interface SqlProblem {
  readonly status: number
  readonly code: string
}

const CONFLICT = { status: 409, code: 'conflict' }
const INPUT = { status: 400, code: 'input-invalid' }
const UNAVAILABLE = { status: 503, code: 'store-unavailable' }
const TIMED_OUT = { status: 504, code: 'deadline-exceeded' }

const TABLE: readonly (readonly [RegExp, SqlProblem])[] = [
  [/^(23505|23503|23P01)$/, CONFLICT], // unique, foreign key, exclusion
  [/^(23502|23514|22\w{3})$/, INPUT], // not null, check, data exception
  // Serialization, deadlock; connection, too many of them, shutdown and start-up; a standby, no room, a broken disk.
  [/^(40001|40P01|08\w{3}|53[123]00|57P0[123]|25006|58030)$/, UNAVAILABLE],
  [/^57014$/, TIMED_OUT], // query cancelled: statement_timeout
]

/** The problem behind a driver's error; undefined for other errors and for states that are the application's bug. */
export function sqlProblem(error: unknown): SqlProblem | undefined {
  if (!(error instanceof Error)) return undefined
  const code = (error as { code?: unknown }).code
  if (typeof code !== 'string') return undefined
  return TABLE.find(([states]) => states.test(code))?.[1]
}
