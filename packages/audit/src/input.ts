import { isScope, ms, type Duration } from '@keelson/kernel'
import { AuditError } from './error.ts'

/** How input is refused. */
export function inputFailure(message: string): AuditError {
  return new AuditError('INPUT_INVALID', message)
}

/** @throws AuditError SCOPE_INVALID */
export function checkScope(owner: string, scope: unknown): asserts scope is string {
  if (isScope(scope) && scope !== '*') return
  const what = "must be 1 to 128 bytes of text without control characters, and not '*'"
  throw new AuditError('SCOPE_INVALID', `${owner}: "scope" ${what} (got ${shown(scope)})`)
}

/** Only these members, of an object. @throws AuditError INPUT_INVALID */
export function checkMembers<T>(owner: string, given: T, allowed: readonly string[]): T {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw inputFailure(`${owner}: must be an object (got ${shown(given)})`)
  }
  const unknown = Object.keys(given).find((name) => !allowed.includes(name))
  if (unknown !== undefined) {
    throw inputFailure(`${owner}: unknown member "${unknown}"; allowed are ${allowed.join(', ')}`)
  }
  return given
}

/** A text with something in it. @throws AuditError INPUT_INVALID */
export function checkText(owner: string, name: string, value: unknown, max = 1_024): asserts value is string {
  if (typeof value === 'string' && value !== '' && value.length <= max) return
  throw inputFailure(`${owner}: "${name}" must be a text of 1 to ${max} characters (got ${shown(value)})`)
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** @throws AuditError INPUT_INVALID */
export function checkId(owner: string, id: unknown): asserts id is string {
  if (typeof id === 'string' && UUID_V7.test(id)) return
  throw inputFailure(`${owner}: "id" must be a UUIDv7 in lower case (got ${shown(id)})`)
}

/** @throws AuditError INPUT_INVALID */
export function checkLimit(owner: string, limit: unknown, max: number): asserts limit is number {
  if (Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= max) return
  throw inputFailure(`${owner}: "limit" must be an integer from 1 to ${max} (got ${shown(limit)})`)
}

/** Ms of a duration. @throws AuditError INPUT_INVALID */
export function checkDuration(owner: string, name: string, value: Duration): number {
  try {
    return ms(value)
  } catch {
    throw inputFailure(`${owner}: "${name}" must be a Duration such as 250 or '5s' (got ${shown(value)})`)
  }
}

/** A value in an error. */
export function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'symbol' || typeof value === 'function') return `a ${typeof value}`
  if (typeof value !== 'string') return String(value)
  return value.length > 60 ? `'${value.slice(0, 60)}…'` : `'${value}'`
}
