import { WebhookError } from '../error.ts'
import type { VerifyHeaders } from './verifier.ts'

/**
 * The value of a header, `name` in lower case; undefined when it is absent.
 * @throws WebhookError MALFORMED_HEADER when it came more than once, INPUT_INVALID for what are no headers.
 */
export function header(headers: VerifyHeaders, name: string): string | undefined {
  return headerValues(headers, [name])[0]
}

/**
 * As `header`, of one that must be there.
 * @throws WebhookError MISSING_HEADER, and what `header` throws.
 */
export function requiredHeader(headers: VerifyHeaders, name: string): string {
  return requiredHeaders(headers, [name])[0]!
}

/**
 * As `requiredHeader`, of several at once: others are gone through once.
 * @throws WebhookError MISSING_HEADER, and what `header` throws.
 */
export function requiredHeaders(headers: VerifyHeaders, names: readonly string[]): readonly string[] {
  const values = headerValues(headers, names)
  const missing = values.indexOf(undefined)
  if (missing !== -1) throw new WebhookError('MISSING_HEADER', `header ${names[missing]} is missing`)
  return values as string[]
}

/** The error of a header; what came is not repeated. */
export function malformed(name: string, what: string): WebhookError {
  return new WebhookError('MALFORMED_HEADER', `header ${name} ${what}`)
}

function headerValues(headers: VerifyHeaders, names: readonly string[]): (string | undefined)[] {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new WebhookError('INPUT_INVALID', '"headers" must be Headers or an object of them by name')
  }
  // Joined with a comma when it came more than once, which no signature header allows.
  if (isHeaders(headers)) return names.map((name) => headers.get(name) ?? undefined)
  const found: (string | undefined)[] = names.map(() => undefined)
  for (const key of Object.keys(headers)) {
    const at = placeOf(key, names)
    if (at !== -1) found[at] = onlyValue(names[at]!, headers[key], found[at])
  }
  return found
}

/** Most names are told apart by their length. */
function placeOf(key: string, names: readonly string[]): number {
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!
    if (key.length === name.length && (key === name || key.toLowerCase() === name)) return at
  }
  return -1
}

/** What came, where `before` has come already. */
function onlyValue(name: string, given: unknown, before: string | undefined): string | undefined {
  const values: readonly unknown[] = Array.isArray(given) ? given : given === undefined ? [] : [given]
  let only = before
  for (const value of values) {
    if (only !== undefined) throw malformed(name, 'came more than once')
    if (typeof value !== 'string') throw malformed(name, 'must be a string')
    only = value
  }
  return only
}

function isHeaders(headers: VerifyHeaders): headers is Headers {
  return typeof headers.get === 'function'
}
