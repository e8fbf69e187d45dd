import { hash } from 'node:crypto'
import type { Statement } from '../tx.ts'

/** A statement whose text is a constant of the code, named by its text: connections parse it once. */
export function prepared(text: string, values?: readonly unknown[]): Statement {
  return { text, name: nameOf(text), ...(values === undefined ? {} : { values }) }
}

/** Texts are constants, so these are few; what is made up at run time must not fill the memory of client and server. */
const MAX_NAMES = 1_000
const names = new Map<string, string>()

function nameOf(text: string): string {
  let name = names.get(text)
  if (name === undefined) {
    name = `keelson_${hash('sha256', text).slice(0, 32)}`
    if (names.size < MAX_NAMES) names.set(text, name)
  }
  return name
}
