/*
 * Texts of the command line as what they mean.
 */
import { parseVerifier } from '../note/keys.ts'
import { Failure } from './failure.ts'
import type { FlagName } from './flags.ts'

/** 'user:u_17', or 'user' for all of that type; ids may have colons. */
export function partyOf(name: FlagName, text: string): { readonly type: string; readonly id?: string } {
  const [, type = '', id] = /^([^:]+)(?::(.+))?$/s.exec(text) ?? []
  if (type === '') throw new Failure(`--${name} must be TYPE or TYPE:ID such as user:u_17 (got '${text}')`)
  return id === undefined ? { type } : { type, id }
}

const INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

/** A day in UTC, or a moment with its offset: what depends on the machine's zone is none. */
export function instantOf(name: FlagName, text: string): Date {
  const instant = new Date(INSTANT.test(text) ? text : NaN)
  // Of a month's 31st day that is none, the next month's first is made.
  const isThere = !Number.isNaN(instant.getTime()) && !Number.isNaN(Date.parse(text)) && dayExists(text)
  if (isThere) return instant
  throw new Failure(`--${name} must be a day or a moment such as 2026-01-31 or 2026-01-31T12:00:00Z (got '${text}')`)
}

function dayExists(text: string): boolean {
  const day = text.slice(0, 10)
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
}

/** One of these words. */
export function wordOf<W extends string>(name: FlagName, text: string, words: readonly W[]): W {
  const word = words.find((one) => one === text)
  if (word !== undefined) return word
  throw new Failure(`--${name} must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)} (got '${text}')`)
}

/** The place of an entry. */
export function indexOf(name: FlagName, text: string): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return Number(text)
  throw new Failure(`--${name} must be an index: digits, from 0 (got '${text}')`)
}

/** The text of a key that verifies. */
export function verifierOf(name: FlagName, text: string): void {
  try {
    parseVerifier(`--${name}`, text)
  } catch (error) {
    throw new Failure(`${(error as Error).message} (got '${shownKey(text)}')`)
  }
}

/** Who takes the signer for it must not find it in the terminal. */
function shownKey(text: string): string {
  return text.startsWith('PRIVATE') ? 'PRIVATE+KEY+…' : text
}
