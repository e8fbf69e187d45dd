import { isPlainText } from '@keelson/kernel'
import { entryFailure, kindOf } from './failure.ts'

const MAX_SUBJECT = 256
export const subjectAllowed: string = `a text of 1 to ${MAX_SUBJECT} characters, none of them a control character`

/** Whether it can name a person. */
export function isSubject(given: unknown): given is string {
  return typeof given === 'string' && given !== '' && given.length <= MAX_SUBJECT && isPlainText(given)
}

/** @throws AuditError ENTRY_INVALID */
export function checkSubject(given: unknown, owner: string): asserts given is string {
  if (!isSubject(given)) throw entryFailure(`${owner} must be ${subjectAllowed} (got ${kindOf(given)})`)
}
