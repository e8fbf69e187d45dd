import { AuditError } from '../error.ts'
import { parseCheckpoint } from '../note/checkpoint.ts'
import { parseVerifier, type NoteKey } from '../note/keys.ts'
import { openNote } from '../note/note.ts'
import { malformed } from './malformed.ts'

/** A checkpoint whose signature is true. */
export interface OpenedCheckpoint {
  /** Which log it is: the name of its key. */
  readonly origin: string
  readonly size: number
  /** Base64. */
  readonly root: string
  /** `<name>+<id>` of the given keys that signed it. */
  readonly signedBy: readonly string[]
}

/** The most keys that are compared. */
const MAX_KEYS = 100

/**
 * Reads a signed checkpoint. One key at least must have signed it whose name is its origin; signatures of unknown keys
 * do not matter, a wrong one of a given key does.
 * @throws AuditError INPUT_INVALID: it is no checkpoint. STORE_CORRUPT: it is not signed so. OPTION_INVALID: a key.
 */
export function openCheckpoint(note: string, keys: readonly string[]): OpenedCheckpoint {
  const { origin, size, root, signedBy } = openTree(note, verifiersOf('openCheckpoint', keys))
  return { origin, size, root: root.toString('base64'), signedBy }
}

/** What `openCheckpoint` does, with the root as bytes. `title` names the note in errors. */
export function openTree(
  note: string,
  known: readonly NoteKey[],
  title = 'checkpoint',
): Omit<OpenedCheckpoint, 'root'> & { readonly root: Buffer } {
  if (typeof note !== 'string') throw malformed(title, 'must be a string')
  const opened = openNote(note, known)
  switch (opened.kind) {
    case 'malformed':
      throw malformed(title, opened.why)
    case 'unknown':
      throw new AuditError('STORE_CORRUPT', `${title}: none of the given keys signed it`)
    case 'forged':
      throw new AuditError('STORE_CORRUPT', `${title}: the signature of ${labelOf(opened.key)} is not of this text`)
    case 'signed': {
      const text = parseCheckpoint(opened.text)
      if (typeof text === 'string') throw malformed(title, text)
      const { origin, size, root } = text
      // Who keeps the keys of several logs must not take one for another.
      if (!opened.by.some(({ name }) => name === origin)) {
        throw new AuditError('STORE_CORRUPT', `${title}: it is of the log ${origin}, which did not sign it`)
      }
      return { origin, size, root: Buffer.from(root), signedBy: opened.by.map(labelOf) }
    }
  }
}

/**
 * Keys given to a function of this entry.
 * @throws AuditError OPTION_INVALID
 */
export function verifiersOf(owner: string, keys: readonly string[]): readonly NoteKey[] {
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS) {
    throw new AuditError('OPTION_INVALID', `${owner}: "keys" must be an array of 1 to ${MAX_KEYS} verifiers`)
  }
  return keys.map((text: unknown, i) => parseVerifier(`${owner}: "keys[${i}]"`, text))
}

function labelOf({ name, id }: NoteKey): string {
  return `${name}+${id}`
}
