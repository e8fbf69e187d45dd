import type { Statement } from '../tx.ts'
import { sha256 } from './sha256.ts'

/** Texts are constants, so these are few; what is made up at run time must not fill the memory of client and server. */
const MAX_NAMES = 1_000
const names = new Map<string, string>()

/**
 * A statement whose text is a constant of the code, named by its text: connections parse it once. Over 1,000 different
 * texts a process get no name.
 */
export function prepared(text: string, values?: readonly unknown[]): Statement {
  const name = nameOf(text)
  return { text, ...(name === undefined ? {} : { name }), ...(values === undefined ? {} : { values }) }
}

function nameOf(text: string): string | undefined {
  const known = names.get(text)
  if (known !== undefined || names.size >= MAX_NAMES) return known
  const name = `keelson_${sha256(text).slice(0, 32)}`
  names.set(text, name)
  return name
}
