import { allowedScopes, type AllowedScopes } from './allowed-scopes.ts'
import type { Caller } from './collections.ts'
import { readCursor, writeCursor, type Cursor } from './cursor.ts'
import { SyncError } from './error.ts'
import type { CheckedSyncOptions } from './options.ts'
import { recOf } from './rec-of.ts'
import { readPull, schemaOf, type ReadPull } from './requests.ts'
import { scopeTags } from './scope-tag.ts'
import type { PulledRow } from './store.ts'
import type { Waiters } from './waiters.ts'
import type { Changes, Deleted, PullRequest, PullResponse, Rec } from './wire.ts'

/** What pulling needs of the component. */
export interface PullingParts {
  readonly options: CheckedSyncOptions
  /** Behind the guard of the store. */
  ask<T>(fn: () => Promise<T>): Promise<T>
  readonly waiters: Waiters
  /** Hears how long a page took, without what it waited. */
  took(pageMs: number): void
}

export type Pull = (
  who: Caller,
  request: PullRequest,
  o: { readonly signal: AbortSignal | undefined; readonly collection: string | undefined },
) => Promise<PullResponse>

/** A device that pulls is noted so often. */
const NOTED_MS = 60_000
const MAX_NOTED = 10_000

/** Tells devices what is new. */
export function createPull({ options: o, ask, waiters, took }: PullingParts): Pull {
  const { store, collections, cursorKey, clock, logger } = o
  const notedAtMs = new Map<string, number>()

  /** For a person to look at: it costs a write, and may fail. */
  function note(client: string, who: Caller): void {
    const nowMs = clock.monotonic()
    if (nowMs - (notedAtMs.get(client) ?? -Infinity) < NOTED_MS) return
    if (notedAtMs.size >= MAX_NOTED) notedAtMs.clear()
    notedAtMs.set(client, nowMs)
    ask(() => store.pulled(client, who.principal.id)).catch((error: unknown) => {
      logger.debug({ err: error, client }, 'sync: a pull is not noted')
    })
  }

  return async (who, request, { signal, collection }) => {
    const read = readPull(request, { ...o.limits, collections, only: collection })
    const scopes = await allowedScopes(o.scopes, who, cursorKey)
    if (read.client !== undefined) note(read.client, who)
    if (read.waitMs === 0 || read.cursor === null) return pullOnce(read, scopes, collection)
    const ticket = await waiters.register([...scopes.values()])
    try {
      const first = await pullOnce(read, scopes, collection)
      if (first.more || first.dropped !== undefined || Object.keys(first.changes).length > 0) return first
      await ticket.wait(read.waitMs, signal)
      if (signal?.aborted) return first
      // What it may see is asked on every answer, not on every call.
      const now = await allowedScopes(o.scopes, who, cursorKey)
      return await pullOnce({ ...read, cursor: first.cursor }, now, collection)
    } finally {
      ticket.leave()
    }
  }

  async function pullOnce(
    read: ReadPull,
    scopes: AllowedScopes,
    collection: string | undefined,
  ): Promise<PullResponse> {
    const beganMs = clock.monotonic()
    const cursor = cursorOf(read, schemaOf(collections, collection), cursorKey)
    // Of a scope that came in the middle the next pull tells.
    const tags = [...scopes.keys()].filter((tag) => cursor.page === undefined || cursor.page.scopes.includes(tag))
    const known = new Set(cursor.known)
    const pulled =
      tags.length === 0
        ? undefined
        : await ask(() =>
            store.pull({
              scopes: tags.map((tag) => ({ name: scopes.get(tag)!, isKnown: known.has(tag) })),
              collections: read.collections,
              floor: cursor.floor,
              ...(cursor.page && { target: cursor.page.target, after: cursor.page.after }),
              limit: read.limit,
            }),
          )
    if (pulled?.kind === 'expired') {
      throw new SyncError(
        'CURSOR_EXPIRED',
        'pull: what was deleted since this cursor is not known any more: start over with null',
      )
    }
    if (pulled?.kind === 'other-era') {
      throw new SyncError(
        'EPOCH_CHANGED',
        'pull: this cursor is of another history of the database: start over with null',
      )
    }
    const { rows, target, more, nowMs } = pulled ?? nothingLeft(cursor, o.clock.now())
    const dropped = [...new Set([...cursor.known, ...(cursor.page?.scopes ?? [])])].filter((tag) => !scopes.has(tag))
    const next: Cursor = more
      ? {
          ...cursor,
          known: [...known].filter((tag) => scopes.has(tag)),
          page: { target, scopes: tags, after: rows.at(-1)!.place },
        }
      : { floor: target, known: tags, collections: cursor.collections, schema: cursor.schema }
    took(clock.monotonic() - beganMs)
    return {
      v: 1,
      now: nowMs,
      mode: cursor.floor === null ? 'snapshot' : 'delta',
      changes: changesOf(rows, o, read),
      ...(dropped.length === 0 ? {} : { dropped }),
      cursor: writeCursor(next, cursorKey),
      more,
    }
  }
}

/** Where a device is, and what it asks for. */
function cursorOf(read: ReadPull, schema: number, key: Uint8Array | undefined): Cursor {
  if (read.cursor === null) return { floor: null, known: [], collections: read.collections, schema }
  const cursor = readCursor(read.cursor, key)
  if (cursor.schema !== schema) {
    throw new SyncError(
      'SCHEMA_CHANGED',
      `pull: this cursor is of schema ${cursor.schema}, this server has ${schema}: start over`,
    )
  }
  if (JSON.stringify(cursor.collections) !== JSON.stringify(read.collections)) {
    throw new SyncError('CURSOR_INVALID', 'pull: "cursor" is of other collections; each list of them has its own')
  }
  return cursor
}

/** Every scope of a pull was lost between two pages of it. */
const nothingLeft = (cursor: Cursor, nowMs: number) => ({ rows: [], target: cursor.page!.target, more: false, nowMs })

function changesOf(
  rows: readonly PulledRow[],
  o: CheckedSyncOptions,
  { withStamps }: ReadPull,
): Record<string, Changes> {
  const tagOf = scopeTags(o.cursorKey)
  const changes: Record<string, { created: Rec[]; updated: Rec[]; deleted: Deleted[] }> = {}
  for (const row of rows) {
    const own = (changes[row.c] ??= { created: [], updated: [], deleted: [] })
    if (row.gone !== undefined) {
      own.deleted.push({ id: row.id, s: tagOf(row.scope), h: row.state.h, why: row.gone })
      continue
    }
    const rec = recOf(row, tagOf, withStamps || o.collections.get(row.c)?.hasStrict === true)
    if (row.isNew) own.created.push(rec)
    else own.updated.push(rec)
  }
  return changes
}
