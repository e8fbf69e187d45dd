/*
 * Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature,
 * '— <name of the key> <base64 of the key's id and the signature>'.
 */
import { sign, verify } from 'node:crypto'
import { parseBase64 } from './base64.ts'
import { isKeyName } from './key-name.ts'
import type { NoteKey } from './keys.ts'
import { isNoteText } from './note-text.ts'

/** Bounds of what is read: signatures by witnesses and of other algorithms, up to 5 kB each, have room. */
const MAX_LENGTH = 1_000_000
const MAX_SIGNATURES = 100

/** What a note turned out to be. */
export type OpenedNote =
  /** `by`: keys whose signatures it has; those of unknown ones do not matter. */
  | { readonly kind: 'signed'; readonly text: string; readonly by: readonly NoteKey[] }
  /** By nobody who is known. */
  | { readonly kind: 'unknown' }
  /** A known key's signature is not of this text. */
  | { readonly kind: 'forged'; readonly key: NoteKey }
  | { readonly kind: 'malformed'; readonly why: string }

/** A note that all keys sign, in their order. The text ends with a line break. */
export function signNote(text: string, keys: readonly NoteKey[]): string {
  const bytes = Buffer.from(text)
  const lines = keys.map(({ name, id, key }) => {
    const signature = Buffer.concat([Buffer.from(id, 'hex'), sign(null, bytes, key)])
    return `— ${name} ${signature.toString('base64')}\n`
  })
  return `${text}\n${lines.join('')}`
}

/** Reads a note and checks the signatures of known keys: one at least must be there, and none may be wrong. */
export function openNote(note: string, known: readonly NoteKey[]): OpenedNote {
  const read = readNote(note)
  if (typeof read === 'string') return { kind: 'malformed', why: read }
  const bytes = Buffer.from(read.text)
  const by = new Set<NoteKey>()
  for (const { name, id, signature } of read.signatures) {
    const key = known.find((each) => each.name === name && each.id === id)
    if (key === undefined) continue
    if (!verify(null, bytes, key.key, signature)) return { kind: 'forged', key }
    by.add(key)
  }
  return by.size === 0 ? { kind: 'unknown' } : { kind: 'signed', text: read.text, by: [...by] }
}

/** The text of a note, nothing of it proven; undefined if it is none. */
export function noteText(note: string): string | undefined {
  const read = readNote(note)
  return typeof read === 'string' ? undefined : read.text
}

/** Text and signatures of a note, nothing of it proven; or what is wrong with it. */
function readNote(note: string): { readonly text: string; readonly signatures: readonly Signature[] } | string {
  if (note.length > MAX_LENGTH) return `must not be longer than ${MAX_LENGTH}`
  if (!isNoteText(note)) return 'must be text without control characters'
  // The text may have empty lines itself.
  const end = note.lastIndexOf('\n\n')
  const lines = note.slice(end + 2).split('\n')
  if (end < 0 || lines.length < 2 || lines.pop() !== '') return 'must have signatures behind an empty line'
  if (lines.length > MAX_SIGNATURES) return `must not have more than ${MAX_SIGNATURES} signatures`
  const signatures = lines.map(parseSignature)
  const wrong = signatures.indexOf(undefined)
  if (wrong !== -1) return `must have signatures as '— <name> <base64>' (line ${wrong + 1} of them is none)`
  return { text: note.slice(0, end + 1), signatures: signatures as Signature[] }
}

interface Signature {
  readonly name: string
  readonly id: string
  readonly signature: Buffer
}

function parseSignature(line: string): Signature | undefined {
  const [, name = '', encoded = ''] = /^— ([^ ]*) (.*)$/.exec(line) ?? []
  const bytes = parseBase64(encoded)
  if (!isKeyName(name) || bytes === undefined || bytes.length < 5) return undefined
  return { name, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }
}
