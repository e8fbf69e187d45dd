import { AuditError } from '../error.ts'
import { shownName } from './failure.ts'
import { escapeToken } from './pointer.ts'

/** Names the member to look at: the largest one, and below `audit` and `data` the largest of theirs. */
export function tooLarge(text: string, bytes: number, maxBytes: number): AuditError {
  let at = ''
  let size = bytes
  let value = JSON.parse(text) as object
  while (at === '' || at === '/audit' || at === '/audit/data') {
    const [name, inner, innerBytes] = largestOf(value)
    if (name === undefined) break
    at += `/${escapeToken(name)}`
    size = innerBytes
    if (typeof inner !== 'object' || inner === null) break
    value = inner
  }
  const what = `it has ${bytes} bytes, more than "maxEntryBytes" (${maxBytes})`
  return new AuditError('ENTRY_TOO_LARGE', `entry: ${what}; the largest member is "${shownName(at)}" with ${size}`)
}

function largestOf(value: object): [name: string | undefined, value: unknown, bytes: number] {
  let largest: [string | undefined, unknown, number] = [undefined, undefined, -1]
  for (const [name, inner] of Object.entries(value) as [string, unknown][]) {
    const bytes = Buffer.byteLength(JSON.stringify(inner))
    if (bytes > largest[2]) largest = [name, inner, bytes]
  }
  return largest
}
