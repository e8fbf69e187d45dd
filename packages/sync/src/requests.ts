import type { Incoming } from './decide.ts'
import type { CheckedCollection } from './checked-collection.ts'
import { SyncError } from './error.ts'
import { fingerprint } from './fingerprint.ts'
import { isShortId, opFault } from './read-op.ts'
import type { Op } from './wire.ts'

type Members = { readonly [name: string]: unknown }

/** What of the options decides how a request is read. */
export interface RequestRules {
  readonly collections: ReadonlyMap<string, CheckedCollection>
  readonly opsPerPush: number
  readonly bodyBytes: number
  readonly pageRows: number
  /** The one that the route names. */
  readonly only: string | undefined
}

/** A push, read. */
export interface ReadPush {
  readonly client: string
  readonly sentAtMs: number | undefined
  readonly incoming: readonly Incoming[]
}

/** A pull, read. */
export interface ReadPull {
  readonly client: string | undefined
  readonly cursor: unknown
  /** Null: all. In the order of their names. */
  readonly collections: readonly string[] | null
  readonly limit: number
  readonly waitMs: number
  readonly withStamps: boolean
}

const LONGEST_WAIT_MS = 25_000

/** @throws SyncError REQUEST_INVALID, VERSION_UNSUPPORTED, SCHEMA_CHANGED, BODY_TOO_LARGE */
export function readPush(given: unknown, rules: RequestRules): ReadPush {
  const request = readRequest('push', given, rules, ['client', 'sentAt', 'ops'])
  const { client, sentAt, ops } = request
  if (!isShortId(client)) throw wrong('push', 'client', '1 to 64 characters of [A-Za-z0-9_.:~-]', client)
  if (sentAt !== undefined && !(Number.isSafeInteger(sentAt) && (sentAt as number) >= 0)) {
    throw wrong('push', 'sentAt', 'ms since 1970, an integer', sentAt)
  }
  if (!Array.isArray(ops)) throw wrong('push', 'ops', 'an array', ops)
  if (ops.length > rules.opsPerPush) throw wrong('push', 'ops', `at most ${rules.opsPerPush} operations`, ops.length)
  const incoming = Array.from(ops as readonly unknown[], (op) => readOp(op, rules))
  // Operations are what a body is made of.
  const bytes = bytesOf(ops, incoming)
  if (bytes > rules.bodyBytes) {
    throw new SyncError('BODY_TOO_LARGE', `push: at most ${rules.bodyBytes} bytes are allowed (got ${bytes})`)
  }
  return { client, sentAtMs: sentAt as number | undefined, incoming }
}

/** What is nested without end, or is no JSON, fails alone and is not counted then. */
function bytesOf(ops: readonly unknown[], incoming: readonly Incoming[]): number {
  try {
    return Buffer.byteLength(JSON.stringify(ops))
  } catch {
    return Buffer.byteLength(JSON.stringify(ops.filter((_, i) => incoming[i]!.kind === 'op')))
  }
}

function readOp(given: unknown, { collections, only }: RequestRules): Incoming {
  const members = isObject(given) ? given : {}
  const id = typeof members['op'] === 'string' ? members['op'].slice(0, 64) : ''
  const fault = (detail: string): Incoming => ({ kind: 'fault', op: id, detail })
  if (!isObject(given)) return fault('an operation must be an object')
  if (!isShortId(given['op'])) return fault('"op" must be 1 to 64 characters of [A-Za-z0-9_.:~-]')
  const c = given['c'] ?? only
  if (only !== undefined && c !== only) {
    throw wrong('push', 'ops.c', `${JSON.stringify(only)}, which the route names`, c)
  }
  const detail = opFault({ ...given, c })
  if (detail !== undefined) return fault(detail)
  const op = { ...(given as unknown as Op), c: c as string }
  const collection = collections.get(op.c)
  if (collection === undefined) return fault(`there is no collection ${JSON.stringify(op.c)}`)
  return { kind: 'op', op, fp: fingerprint(op), collection }
}

/** @throws SyncError REQUEST_INVALID, VERSION_UNSUPPORTED, SCHEMA_CHANGED */
export function readPull(given: unknown, rules: RequestRules): ReadPull {
  const request = readRequest('pull', given, rules, ['client', 'cursor', 'collections', 'limit', 'waitMs', 'hs'])
  const { client, cursor, collections, limit = rules.pageRows, waitMs = 0, hs = false } = request
  if (client !== undefined && !isShortId(client)) {
    throw wrong('pull', 'client', '1 to 64 characters of [A-Za-z0-9_.:~-]', client)
  }
  if (cursor === undefined) throw wrong('pull', 'cursor', 'null, or what the pull before answered', cursor)
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) throw wrong('pull', 'limit', 'an integer from 1', limit)
  if (typeof waitMs !== 'number' || !(waitMs >= 0)) throw wrong('pull', 'waitMs', 'ms from 0', waitMs)
  if (typeof hs !== 'boolean') throw wrong('pull', 'hs', 'true or false', hs)
  return {
    client,
    cursor,
    collections: readCollections(collections, rules),
    limit: Math.min(limit as number, rules.pageRows),
    waitMs: Math.min(waitMs, LONGEST_WAIT_MS),
    withStamps: hs,
  }
}

function readCollections(given: unknown, { collections, only }: RequestRules): readonly string[] | null {
  if (given === undefined) return only === undefined ? null : [only]
  if (!Array.isArray(given) || given.length === 0) throw wrong('pull', 'collections', 'names, at least one', given)
  const names = [...new Set(given as unknown[])]
  for (const name of names) {
    if (typeof name !== 'string' || !collections.has(name))
      throw wrong('pull', 'collections', 'names of collections', name)
    if (only !== undefined && name !== only)
      throw wrong('pull', 'collections', `${JSON.stringify(only)}, which the route names`, name)
  }
  return (names as string[]).toSorted()
}

/** What both have. */
function readRequest(
  owner: string,
  given: unknown,
  { collections, only }: RequestRules,
  names: readonly string[],
): Members {
  if (!isObject(given)) throw wrong(owner, 'body', 'an object', given)
  if (given['v'] !== 1) {
    const details = { supported: [1] }
    throw new SyncError('VERSION_UNSUPPORTED', `${owner}: "v" must be 1 (got ${shown(given['v'])})`, { details })
  }
  const other = Object.keys(given).find((name) => name !== 'v' && name !== 'schema' && !names.includes(name))
  if (other !== undefined)
    throw wrong(owner, other, `none of it: known are v, schema, ${names.join(', ')}`, given[other])
  const { schema } = given
  if (schema !== undefined && schema !== schemaOf(collections, only)) {
    const message = `${owner}: "schema" is ${shown(schema)}, this server has ${schemaOf(collections, only)}: start over`
    throw new SyncError('SCHEMA_CHANGED', message)
  }
  return given
}

/** The highest of the collections that a request is about. */
export function schemaOf(collections: ReadonlyMap<string, CheckedCollection>, only: string | undefined): number {
  const found = only === undefined ? [...collections.values()] : [collections.get(only)!]
  return Math.max(...found.map(({ schemaVersion }) => schemaVersion))
}

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function wrong(owner: string, name: string, allowed: string, got: unknown): SyncError {
  return new SyncError('REQUEST_INVALID', `${owner}: "${name}" must be ${allowed} (got ${shown(got)})`)
}

function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'string' ? JSON.stringify(value).slice(0, 64) : String(value)
}
