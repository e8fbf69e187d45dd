import type { RedactOptions } from '../audit.ts'
import { withoutCards } from './card-number.ts'
import { quoted } from './json-text.ts'
import { secretNames } from './secret-names.ts'

/** What stands for a value that is not kept. */
export const REDACTED = '[redacted]'

/** A member's name as it is written. */
export interface MemberName {
  readonly name: string
  /** With quotes and colon. */
  readonly text: string
  /** Its value is not kept. */
  readonly secret: boolean
  /** It differs from the caller's: a card number was in it, or half a character. */
  readonly changed: boolean
  readonly card: boolean
}

/** What must not get into an entry's bytes. */
export interface Redaction {
  /** `keep` it in memory, unless it is a person's. */
  member(name: string, keep?: boolean): MemberName
  /** Without card numbers. */
  text(text: string): string
  /** JSON pointers of values that are not kept; undefined if there are none. */
  readonly paths: ReadonlySet<string> | undefined
}

/** Names of members are few in an application: each is looked at once. */
const MAX_KNOWN = 2_000
const MAX_KNOWN_LENGTH = 64

export function createRedaction({ keys = [], paths = [], pan = true }: RedactOptions): Redaction {
  const isSecret = secretNames(keys)
  const text = pan ? withoutCards : (given: string) => given
  const known = new Map<string, MemberName>()

  function look(given: string, keep: boolean): MemberName {
    const clean = text(given)
    const name = clean.toWellFormed()
    const member = {
      name,
      text: `${quoted(name)}:`,
      secret: isSecret(given),
      changed: name !== given,
      card: clean !== given,
    }
    // Names that are data, no part of the program, are not worth it.
    if (!keep || member.changed || given.length > MAX_KNOWN_LENGTH) return member
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(given, member)
    return member
  }

  return {
    member: (name, keep = true) => known.get(name) ?? look(name, keep),
    text,
    paths: paths.length === 0 ? undefined : new Set(paths),
  }
}
