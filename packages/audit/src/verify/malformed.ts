import { AuditError } from '../error.ts'

/** Something that is no checkpoint, proof or hash at all. */
export function malformed(title: string, why: string): AuditError {
  return new AuditError('INPUT_INVALID', `${title}: ${why}`)
}
