import { readPageCursor, writePageCursor } from '@keelson/kernel/page-cursor'
import { allowedScopes } from './allowed-scopes.ts'
import { SyncError } from './error.ts'
import { fingerprint } from './fingerprint.ts'
import type { CheckedSyncOptions } from './options.ts'
import { conflictOf, type PushOps } from './pushing.ts'
import { isShortId, opFault } from './read-op.ts'
import { scopeTag } from './scope-tag.ts'
import { nextStamp } from './stamp.ts'
import type { ConflictRow } from './store.ts'
import type { Conflict, Page, Sync } from './sync.ts'
import type { Op } from './wire.ts'

/** Whose operations the decisions about conflicts are. No device can have the name: it has a blank. */
const CLIENT = 'keelson resolve'
const MAX_LIMIT = 1_000

/** Where conflicts are looked at and decided. */
export function createConflictDesk(o: {
  readonly options: CheckedSyncOptions
  readonly node: string
  readonly pushOps: PushOps
  ask<T>(fn: () => Promise<T>): Promise<T>
}): Sync['conflicts'] {
  const { options, node, pushOps, ask } = o
  const { store, collections, cursorKey, clock } = options

  return {
    async list(who, q = {}) {
      const { status = 'open', after, limit = 50 } = q
      if (status !== 'open' && status !== 'resolved') throw wrong('list', '"status" must be open or resolved')
      if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
        throw wrong('list', `"limit" must be an integer from 1 to ${MAX_LIMIT}`)
      }
      const scopes = [...(await allowedScopes(options.scopes, who, cursorKey)).values()]
      const last = after === undefined ? undefined : readPageCursor({ status }, after)
      if (after !== undefined && !isShortId(last)) {
        throw new SyncError('CURSOR_INVALID', 'conflicts.list: "after" is not the "next" of a page of this query')
      }
      const more = last === undefined ? {} : { after: last }
      const rows = await ask(() => store.conflicts({ scopes, status, ...more, limit: limit + 1 }))
      const items = rows.slice(0, limit).map(({ status: _status, ...row }) => conflictOf(row, cursorKey))
      const next = rows.length > limit ? writePageCursor({ status }, items.at(-1)!.id) : null
      return { items, next } satisfies Page<Conflict>
    },

    async resolve(who, id, decision) {
      const scopes = await allowedScopes(options.scopes, who, cursorKey)
      const row = isShortId(id) ? await ask(() => store.conflict(id)) : undefined
      if (row === undefined || ![...scopes.values()].includes(row.scope)) {
        throw new SyncError('NOT_FOUND', 'conflicts.resolve: there is no such conflict')
      }
      const { status: _status, ...conflict } = row
      if (row.status === 'resolved') return conflictOf(conflict, cursorKey)
      const op = decidedOp(row, decision)
      const incoming =
        op === undefined ? [] : [{ kind: 'op', op, fp: fingerprint(op), collection: collections.get(op.c)! } as const]
      await pushOps(who, scopes, { client: CLIENT, sentAtMs: undefined, incoming }, { tx: undefined, resolves: id })
      return conflictOf(conflict, cursorKey)
    },
  }

  /** An ordinary operation of somebody who has seen everything; undefined: it stays as it is. */
  function decidedOp({ id, op, c, record, scope }: ConflictRow, decision: unknown): Op | undefined {
    const { take, doc } = (decision ?? {}) as { take?: unknown; doc?: unknown }
    const base = { op: id, c, id: record, h: nextStamp(undefined, clock.now(), node), s: scopeTag(scope, cursorKey) }
    if (take === 'theirs' && doc === undefined) return undefined
    const collection = collections.get(c)
    if (collection === undefined) {
      throw new SyncError('NOT_FOUND', `conflicts.resolve: there is no collection ${JSON.stringify(c)} any more`)
    }
    if (take === 'mine' && doc === undefined) {
      if (op.t === 'delete') return { ...base, t: 'delete' }
      return { ...base, t: 'put', ...(op.set && { set: op.set }), ...(op.unset && { unset: op.unset }) }
    }
    if (take !== undefined || typeof doc !== 'object' || doc === null) {
      throw wrong('resolve', 'it takes { take: "mine" }, { take: "theirs" } or { doc }')
    }
    const unset = Object.keys(collection.rules).filter((field) => !Object.hasOwn(doc, field))
    const whole = { ...base, t: 'put' as const, set: doc as NonNullable<Op['set']>, unset }
    const fault = opFault(whole)
    if (fault !== undefined) throw wrong('resolve', fault)
    return whole
  }
}

const wrong = (owner: string, message: string): SyncError =>
  new SyncError('INPUT_INVALID', `conflicts.${owner}: ${message}`)
