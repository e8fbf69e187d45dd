import { systemClock } from '@keelson/kernel'
import { prepared, type Ask } from '@keelson/kernel/postgres'
import { SyncError } from '../error.ts'
import type { Pulled, PulledRow, SyncStore } from '../store.ts'
import { plainArray, textArray } from './arrays.ts'
import { formatPlace, readPlace, START } from './place.ts'
import { changedSql } from './pull.sql.ts'
import { readRecord, type RecordColumns } from './record-row.ts'
import {
  capped,
  formatSnapshot,
  fromServer,
  MAX_OPEN,
  MAX_OPEN_BETWEEN_PAGES,
  readSnapshot,
  sqlOf,
  type Snapshot,
} from './snapshot.ts'

/** A row of a page in JSON. */
type PageRow = readonly [...RecordColumns, tx: string, isNew: boolean]

interface PullColumns {
  readonly kind: 'replica' | 'writing' | 'elsewhere' | 'other-era' | 'expired' | 'page'
  readonly era: string
  readonly now_ms: number
  readonly target: string
  readonly page: string
}

/** What is new to devices. `follow` begins a new era where the history is another one; a pull waits so long for it. */
export function createPulling(
  schema: string,
  ask: Ask,
  { follow, patienceMs }: { follow(): Promise<unknown>; readonly patienceMs: number },
): Pick<SyncStore, 'pull' | 'changed'> {
  const sql = {
    pull: `select * from ${schema}.sync_pull($1::text::text[], $2::text::boolean[], $3::text::text[], $4::text::bigint,
      $5::text::pg_snapshot, $6::text::pg_snapshot, $7::text::xid8, $8::text, $9::text, $10::text, $11::integer)`,
    changed: changedSql(schema),
  }

  /** All of this process wait for one. */
  let following: Promise<unknown> | undefined

  async function followed(): Promise<void> {
    following ??= follow().finally(() => (following = undefined))
    const late = Promise.withResolvers<'late'>()
    const timer = systemClock.timer(() => late.resolve('late'), patienceMs)
    const answer = await Promise.race([following, late.promise]).finally(() => timer.cancel())
    if (answer !== 'late') return
    // The server lives, so no guard opens: pushes go on.
    throw new SyncError('STORE_UNAVAILABLE', 'the store is another one since the last pull: a new era begins', {
      retryAfter: 1_000,
      details: { reason: 'overload' },
    })
  }

  /** Once more where the server turned out to be another one. */
  async function asked<Row extends { readonly kind: string }>(text: string, values: readonly unknown[]): Promise<Row> {
    const [row] = await ask<Row>(prepared(text, values))
    switch (row!.kind) {
      case 'replica':
        throw new SyncError('REPLICA_READ', 'a replica cannot tell what is on its way: pull from the primary')
      case 'writing':
        throw new SyncError('PULL_IN_WRITING_TX', 'this transaction has written: nobody sees that yet, a cursor would')
      case 'elsewhere':
        await followed()
        return asked(text, values)
      default:
        return row!
    }
  }

  return {
    async pull(q): Promise<Pulled> {
      const floor = q.floor === null ? undefined : capped(readSnapshot(q.floor), MAX_OPEN)
      const target = q.target === undefined ? undefined : readSnapshot(q.target)
      const after = q.after === undefined ? START : readPlace(q.after)
      if (floor !== undefined && target !== undefined && floor.era !== target.era) return { kind: 'other-era' }
      const row = await asked<PullColumns>(sql.pull, [
        textArray(q.scopes.map(({ name }) => name)),
        plainArray(q.scopes.map(({ isKnown }) => isKnown)),
        q.collections === null ? null : textArray(q.collections),
        (floor ?? target)?.era ?? null,
        sqlOrNull(floor),
        sqlOrNull(target),
        after.tx,
        after.c,
        after.id,
        after.scope,
        // One more tells whether there are more.
        q.limit + 1,
      ])
      if (row.kind === 'expired' || row.kind === 'other-era') return { kind: row.kind }
      const found = JSON.parse(row.page) as PageRow[]
      const more = found.length > q.limit
      const goal = target ?? fromServer(row.era, row.target)
      return {
        kind: 'page',
        rows: (more ? found.slice(0, q.limit) : found).map(readRow),
        target: formatSnapshot(capped(goal, more ? MAX_OPEN_BETWEEN_PAGES : MAX_OPEN)),
        more,
        nowMs: row.now_ms,
      }
    },

    async changed(since, scopes) {
      const snapshot = since === null ? undefined : readSnapshot(since)
      const row = await asked<{ kind: string; era: string; now_at: string; scopes: string }>(sql.changed, [
        textArray(scopes),
        snapshot?.era ?? null,
        sqlOrNull(snapshot),
      ])
      return {
        scopes: JSON.parse(row.scopes) as string[],
        token: formatSnapshot(capped(fromServer(row.era, row.now_at), MAX_OPEN_BETWEEN_PAGES)),
      }
    },
  }
}

const sqlOrNull = (snapshot: Snapshot | undefined): string | null => (snapshot === undefined ? null : sqlOf(snapshot))

function readRow(row: PageRow): PulledRow {
  const [scope, c, id, registers, h, deletedAt, gone, tx, isNew] = row
  const record = readRecord([scope, c, id, registers, h, deletedAt, gone])
  return { ...record, isNew, place: formatPlace({ tx, c, id, scope }) }
}
