import { isNoteText } from './note-text.ts'

/** What the name of a key is, which is the origin of its log too. */
export const keyNameAllowed = 'a text without spaces, plus signs and control characters, best a URL without its scheme'

/** True for the name of a key: it stands between spaces in notes and between plus signs in keys (C2SP signed-note). */
export function isKeyName(name: string): boolean {
  return /^[^\p{White_Space}+]+$/u.test(name) && isNoteText(name)
}
