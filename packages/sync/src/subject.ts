import { hash } from 'node:crypto'
import type { CheckedCollection } from './checked-collection.ts'

/** A person is found again, not read. */
export const subjectDigest = (subject: string): string => hash('sha256', subject, 'base64url')

/** Whom a document is about, as a digest; undefined: nobody. */
export function subjectOf(collection: CheckedCollection, doc: Readonly<Record<string, unknown>>): string | undefined {
  const subject = collection.subject?.(doc) ?? undefined
  return subject === undefined ? undefined : subjectDigest(subject)
}

/** Why this document is refused: devices send fields of any type, and whom it is about must be found again. */
export function subjectFault(
  collection: CheckedCollection,
  doc: Readonly<Record<string, unknown>>,
): string | undefined {
  const subject: unknown = collection.subject?.(doc) ?? undefined
  if (subject === undefined || typeof subject === 'string') return undefined
  return `whom it is about must be a text (got ${typeof subject})`
}

/** Whom edits are about that came to nothing: they may be no documents, of which `subject` can make nothing. */
export function subjectsOfEdit(
  collection: CheckedCollection,
  docs: readonly Readonly<Record<string, unknown>>[],
): readonly string[] {
  const found = docs.flatMap((doc) => {
    try {
      return subjectOf(collection, doc) ?? []
    } catch {
      return []
    }
  })
  return [...new Set(found)]
}
