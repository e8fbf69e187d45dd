import { AuditError } from '../error.ts'
import { withoutCards } from './card-number.ts'

/** How an entry is refused. What came from outside stands in `message` only as {@link shown} tells it. */
export function entryFailure(message: string, cause?: unknown): AuditError {
  return new AuditError('ENTRY_INVALID', `entry: ${message}`, cause === undefined ? {} : { cause })
}

const MAX_SHOWN = 60
const MAX_SEARCHED = 1_000

/** A name or a word of the caller's in an error: never a card number, never long. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${shownName(value)}'`
  if (typeof value === 'number' || typeof value === 'bigint') return withoutCards(String(value))
  return kindOf(value)
}

/** A name of a member in an error. */
export function shownName(name: string): string {
  // More than is shown is searched, so that none of a number's digits is left at the end.
  const safe = withoutCards(name.slice(0, MAX_SEARCHED).toWellFormed())
  return safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}…` : safe
}

/** What a value is, without the value: it may be a person's. */
export function kindOf(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value === null ? 'null' : typeof value
}
