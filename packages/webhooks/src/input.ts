import { checkOptions, isScope, ms, type Duration, type OptionSpec, type Resolved } from '@keelson/kernel'
import { isName } from './endpoint-config.ts'
import { WebhookError } from './error.ts'

/** How input is refused. */
export function inputFailure(message: string): WebhookError {
  return new WebhookError('INPUT_INVALID', message)
}

/** Members of an input, by the rules of options. @throws WebhookError INPUT_INVALID */
export function checkInput<S extends OptionSpec>(owner: string, given: unknown, spec: S): Resolved<S> {
  return checkOptions(owner, given, spec, inputFailure)
}

/** @throws WebhookError SCOPE_INVALID */
export function checkScope(owner: string, scope: unknown): asserts scope is string {
  if (isScope(scope)) return
  const what = 'must be 1 to 128 bytes of text without control characters'
  throw new WebhookError('SCOPE_INVALID', `${owner}: "scope" ${what} (got ${typeof scope})`)
}

/** @throws WebhookError SCOPE_INVALID, INPUT_INVALID */
export function checkRef(owner: string, given: unknown): { scope: string; id: string } {
  const { scope, id } = (given ?? {}) as { scope?: unknown; id?: unknown }
  checkScope(owner, scope)
  if (id === undefined) throw inputFailure(`${owner}: "id" is required`)
  checkName(owner, 'id', id)
  return { scope, id: id as string }
}

/** @throws WebhookError INPUT_INVALID */
export function checkName(owner: string, name: string, value: unknown): void {
  if (value === undefined || isName(value)) return
  const what = 'must be a text of 1 to 256 characters, none of them a control character'
  throw inputFailure(`${owner}: "${name}" ${what} (got ${shown(value)})`)
}

/** A member that is there but undefined would mean everything. @throws WebhookError INPUT_INVALID */
export function checkGiven(owner: string, q: object, names: readonly string[]): void {
  const name = names.find((one) => Object.hasOwn(q, one) && q[one as keyof typeof q] === undefined)
  if (name !== undefined) throw inputFailure(`${owner}: "${name}" is undefined; leave it out to mean all`)
}

/** @throws WebhookError INPUT_INVALID */
export function checkDate(owner: string, name: string, value: unknown): void {
  if (value === undefined || (value instanceof Date && !Number.isNaN(value.getTime()))) return
  throw inputFailure(`${owner}: "${name}" must be a valid Date (got ${shown(value)})`)
}

/** Ms of a duration within bounds. @throws WebhookError INPUT_INVALID */
export function checkDuration(owner: string, name: string, value: Duration, maxMs: number): number {
  let valueMs = NaN
  try {
    valueMs = ms(value)
  } catch {}
  if (valueMs >= 0 && valueMs <= maxMs) return valueMs
  throw inputFailure(
    `${owner}: "${name}" must be a Duration such as 250 or '5s', at most ${maxMs} ms (got ${shown(value)})`,
  )
}

/** @throws WebhookError INPUT_INVALID */
export function checkObject<T>(owner: string, given: T): T {
  if (typeof given === 'object' && given !== null) return given
  throw inputFailure(`${owner}: must be an object (got ${shown(given)})`)
}

/** Only these members. @throws WebhookError INPUT_INVALID */
export function checkMembers(owner: string, given: unknown, allowed: readonly string[]): void {
  checkObject(owner, given)
  const unknown = Object.keys(given as object).find((name) => !allowed.includes(name))
  if (unknown !== undefined) {
    throw inputFailure(`${owner}: unknown member "${unknown}"; allowed are ${allowed.join(', ')}`)
  }
}

/** A value in an error. */
export function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value !== 'string') return String(value)
  return value.length > 60 ? `'${value.slice(0, 60)}…'` : `'${value}'`
}
