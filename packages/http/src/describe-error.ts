import { isKeelsonError, type KeelsonError } from '@keelson/kernel'
import { builtin } from './builtin.ts'
import { inputFaults, messageFaults, messageOf } from './input-faults.ts'
import { isHttpProblem, isRetryable } from './problem.ts'
import { sqlProblem } from './sqlstate.ts'
import { statusOfCode } from './status-table.ts'

/** What a client may know of an error. */
export interface Described {
  readonly status: number
  /** Lower case with dashes. */
  readonly code: string
  readonly retryable: boolean
  readonly retryAfterMs?: number | undefined
  readonly title?: string | undefined
  /** Meant for the client: no message of an unknown error, no name of a table or a host. */
  readonly detail?: string | undefined
  readonly extra?: object | undefined
}

/** A store that is down says no time of its own. */
const UNAVAILABLE_MS = 1_000

const INTERNAL: Described = { status: 500, code: 'internal-error', retryable: true }

/** From any thrown thing to what the client is told; `undefined` means that no route matched. Never throws. */
export function describeError(error: unknown): Described {
  try {
    return describe(error)
  } catch {
    return INTERNAL // a thrown object may throw by itself when it is read
  }
}

function describe(error: unknown): Described {
  if (error === undefined) return { status: 404, code: 'not-found', retryable: false }
  if (isHttpProblem(error)) {
    const { status, retryable, retryAfter: retryAfterMs, title, detail, extra } = error
    return { status, code: codeOf(error.code), retryable, retryAfterMs, title, detail, extra }
  }
  if (isKeelsonError(error)) return describeKeelsonError(error)
  const sql = sqlProblem(error)
  if (sql !== undefined) return { ...sql, retryable: isRetryable(sql.status), ...waitFor(sql.status) }
  const errors = inputFaults(error)
  if (errors !== undefined) return { status: 400, code: 'input-invalid', retryable: false, extra: { errors } }
  return describeForeign(error) ?? INTERNAL
}

function describeKeelsonError(error: KeelsonError): Described {
  const code = codeOf(error.code)
  // Without a key nobody can tell a second run from the first: a retry may do it twice.
  if (error.code === 'COMMIT_UNKNOWN' && error.name !== 'IdempotencyError')
    return { status: 500, code, retryable: false }
  const status = statusOfCode(error.code)
  return {
    status,
    code,
    // What is closed here may be open on the next node.
    retryable: error.retryable || status === 503,
    ...(error.retryAfter === undefined ? waitFor(status) : { retryAfterMs: error.retryAfter }),
    ...(status < 500 ? { detail: error.message } : {}),
  }
}

/** Errors of frameworks and of `http-errors` say their status; only 4xx is believed. */
function describeForeign(error: unknown): Described | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { status, statusCode, getStatus, expose, message } = error as Record<string, unknown>
  const told = expose === true ? message : messageOf(error)
  const said = typeof getStatus === 'function' ? (getStatus.call(error) as unknown) : (status ?? statusCode)
  if (!Number.isInteger(said) || (said as number) < 400 || (said as number) > 499) return undefined
  const errors = messageFaults(told)
  return {
    status: said as number,
    code: errors === undefined ? codeOf(builtin.http.STATUS_CODES[said as number] ?? 'client error') : 'input-invalid',
    retryable: isRetryable(said as number),
    // The conventions of http-errors and of Nest: these messages were written for the client.
    ...(typeof told === 'string' ? { detail: told } : {}),
    ...(errors === undefined ? {} : { extra: { errors } }),
  }
}

function waitFor(status: number): { retryAfterMs?: number } {
  return status === 503 ? { retryAfterMs: UNAVAILABLE_MS } : {}
}

function codeOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}
