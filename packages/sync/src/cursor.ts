import { createHmac, timingSafeEqual } from 'node:crypto'
import { SyncError } from './error.ts'

/** Where a device is. It carries no authority: what it may see is asked for anew. */
export interface Cursor {
  /** Up to where it has everything of `known`; null: nothing yet. */
  readonly floor: string | null
  /** Tags of scopes that it has. */
  readonly known: readonly string[]
  /** Null: all collections. */
  readonly collections: readonly string[] | null
  readonly schema: number
  /** Between the pages of one pull: up to where it goes, for which scopes, and behind which row. */
  readonly page?: { readonly target: string; readonly scopes: readonly string[]; readonly after: string }
}

const VERSION = 1
const MAC_BYTES = 16
/** With the tags of 2,000 scopes. */
const MAX_LENGTH = 100_000

/** As it travels: JSON in base64url, signed where there is a key. */
export function writeCursor({ floor, known, collections, schema, page }: Cursor, key: Uint8Array | undefined): string {
  const paging = page === undefined ? [] : [page.target, page.scopes, page.after]
  const json = Buffer.from(JSON.stringify([VERSION, floor, known, collections, schema, ...paging]))
  return Buffer.concat([mac(json, key), json]).toString('base64url')
}

/** @throws SyncError CURSOR_INVALID for what was not written here, with this key and of this version */
export function readCursor(text: unknown, key: Uint8Array | undefined): Cursor {
  if (typeof text !== 'string' || text.length > MAX_LENGTH || !/^[\w-]+$/.test(text)) throw invalid()
  const bytes = Buffer.from(text, 'base64url')
  // A character too many is dropped by the decoder.
  if (bytes.toString('base64url') !== text) throw invalid()
  const macBytes = key === undefined ? 0 : MAC_BYTES
  const json = bytes.subarray(macBytes)
  if (bytes.length < macBytes || !timingSafeEqual(bytes.subarray(0, macBytes), mac(json, key))) throw invalid()
  let parts: unknown
  try {
    parts = JSON.parse(json.toString())
  } catch {
    throw invalid()
  }
  if (!isCursor(parts)) throw invalid()
  const [, floor, known, collections, schema, target, scopes, after] = parts
  const cursor = { floor, known, collections, schema }
  return target === undefined ? cursor : { ...cursor, page: { target, scopes: scopes!, after: after! } }
}

type Parts = [
  version: number,
  floor: string | null,
  known: string[],
  collections: string[] | null,
  schema: number,
  target?: string,
  scopes?: string[],
  after?: string,
]

function isCursor(parts: unknown): parts is Parts {
  if (!Array.isArray(parts) || parts[0] !== VERSION || (parts.length !== 5 && parts.length !== 8)) return false
  const [, floor, known, collections, schema, target, scopes, after] = parts as unknown[]
  if (!(floor === null || isText(floor)) || !isTexts(known) || !Number.isSafeInteger(schema)) return false
  if (collections !== null && !isTexts(collections)) return false
  return parts.length === 5 || (isText(target) && isTexts(scopes) && scopes.length > 0 && isText(after))
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)

const mac = (json: Uint8Array, key: Uint8Array | undefined): Buffer =>
  key === undefined ? Buffer.alloc(0) : createHmac('sha256', key).update(json).digest().subarray(0, MAC_BYTES)

const invalid = (): SyncError =>
  new SyncError('CURSOR_INVALID', 'pull: "cursor" is none that this server made; null begins anew')
