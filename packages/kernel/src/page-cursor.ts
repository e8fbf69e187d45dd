import { createHash } from 'node:crypto'

const MARK_LENGTH = 11

/**
 * A page's place as a text that tells of its query as well, so that it fits no other query and none is made up by
 * mistake. It is no secret.
 */
export function writePageCursor(query: object, last: string): string {
  return `${markOf(query, last)}${Buffer.from(last).toString('base64url')}`
}

/** The place in a cursor that was written for this query; undefined for any other text. */
export function readPageCursor(query: object, cursor: unknown): string | undefined {
  if (typeof cursor !== 'string') return undefined
  const last = Buffer.from(cursor.slice(MARK_LENGTH), 'base64url').toString()
  return last !== '' && writePageCursor(query, last) === cursor ? last : undefined
}

function markOf(query: object, last: string): string {
  const members = Object.entries({ ...query, last }).filter(([, value]) => value !== undefined)
  const text = JSON.stringify(members.toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return createHash('sha256').update(text).digest('base64url').slice(0, MARK_LENGTH)
}
