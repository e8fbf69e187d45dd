import { AuditError } from '../error.ts'
import { entryFailure, kindOf } from './failure.ts'
import { quoted } from './json-text.ts'
import { isPersonal } from './personal.ts'
import { REDACTED } from './redaction.ts'
import { checkSubject } from './subject.ts'
import type { Draft } from './writing.ts'

/** Where a text of the input stands in the document. */
export interface TextPlace {
  /** In the input, for errors. */
  readonly field: string
  /** In the document. */
  readonly pointer: string
}

/**
 * A text, or a person's text, as JSON: redacted where it must be. Undefined when nothing is there, or nothing in the
 * clear. @throws AuditError ENTRY_INVALID, ENTRY_TOO_LARGE
 */
export function textMember(given: unknown, place: TextPlace, draft: Draft): string | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null || !isPersonal(given)) return quoted(cleanText(given, place, draft))
  const { subject, value } = given as { subject: unknown; value: unknown }
  checkSubject(subject, `the subject of "${place.field}"`)
  const text = quoted(cleanText(value, place, draft))
  // What is redacted needs no key.
  if (draft.rules.paths?.has(place.pointer) === true) return text
  draft.personal.push({ pointer: place.pointer, subject, text })
}

/** The text as it may be kept. */
export function cleanText(given: unknown, { field, pointer }: TextPlace, draft: Draft): string {
  if (typeof given !== 'string') throw entryFailure(`"${field}" must be a text (got ${kindOf(given)})`)
  if (given.length > draft.maxText) {
    throw new AuditError('ENTRY_TOO_LARGE', `entry: "${field}" alone is larger than an entry may be`)
  }
  const clean = draft.rules.paths?.has(pointer) === true ? REDACTED : draft.rules.text(given)
  if (clean !== given) draft.redacted.push(pointer)
  return clean.toWellFormed()
}
