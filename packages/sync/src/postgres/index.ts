import { checkOptions, opt, type Duration } from '@keelson/kernel'
import { checkSchema, createAsk, database, prepared, type DatabaseLike, type Migration } from '@keelson/kernel/postgres'
import { SyncError } from '../error.ts'
import type { ConflictRow, SyncStore } from '../store.ts'
import { textArray } from './arrays.ts'
import { createChanging } from './changing.ts'
import { clientSql, pulledSql } from './client.sql.ts'
import { readClient } from './client-row.ts'
import { conflictSql, conflictsSql, openConflictsSql } from './conflict.sql.ts'
import { ofSubjectSql } from './forget.sql.ts'
import { migrations } from './migrations.ts'
import { createPulling } from './pulling.ts'
import { createPushing } from './pushing.ts'
import { createRebasing } from './rebasing.ts'
import { readRecord, recordColumns, type RecordColumns } from './record-row.ts'
import { inspectSql, traceSql } from './status.sql.ts'
import { fromText, toText } from './text.ts'

export { migrations } from './migrations.ts'
export { notifyWaker, type ListenClient } from './notify-waker.ts'
export { triggerSql, type TriggerOptions } from './trigger-sql.ts'

/** Rows that `inspect` counts: with more it says so many. */
const COUNTED = 100_000
/** Operations of one request. */
const TRACED = 1_000
/** What writes all of a scope takes its time. */
const ALL_MS = 3_600_000
/** A probe is given up after this time. */
const PING_MS = 1_000

/**
 * Records in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that the business rows
 * live in, so that they commit together. Apply its `migrations` with `migrate(db, [store])`. `storeTimeout` (250 ms) is
 * how long a push waits for records that others write; then these are busy, the others go on.
 * @throws SyncError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string; readonly storeTimeout?: Duration } = {},
): SyncStore & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const spec = { schema: opt.string('keelson'), storeTimeout: opt.duration('250ms', { min: 1, max: '10m' }) }
  const checked = checkOptions('postgresStore', options, spec, optionFailure)
  const schema = checkSchema(checked.schema)
  const target = database(db)
  const ask = createAsk(target)
  const lockMs = Math.ceil(checked.storeTimeout)
  const sql = {
    client: clientSql(schema),
    pulled: pulledSql(schema),
    conflicts: conflictsSql(schema),
    conflict: conflictSql(schema),
    openConflicts: openConflictsSql(schema),
    forget: `select * from ${schema}.sync_forget($1, $2, $3, $4, $5)`,
    ofSubject: ofSubjectSql(schema, recordColumns('r')),
    gc: `select * from ${schema}.sync_gc($1::float8, $2::float8, $3::integer)`,
    trace: traceSql(schema),
    inspect: inspectSql(schema),
  }
  const rebase = createRebasing(schema, ask)

  return {
    kind: 'postgres',
    transactional: true,
    migrations,
    schema,
    ...createPulling(schema, ask, { follow: () => rebase(false), patienceMs: lockMs / 2 }),
    ...createPushing(target, schema, lockMs),
    ...createChanging(schema, ask),

    async client(client) {
      const [row] = await ask<{ device: string }>(prepared(sql.client, [client]))
      return row && readClient(row.device)
    },

    async pulled(client, principal) {
      await ask(prepared(sql.pulled, [client, toText(principal)]))
    },

    async conflicts({ scopes, status, after = '', limit }) {
      const rows = await ask<ConflictColumns>(prepared(sql.conflicts, [textArray(scopes), status, after, limit]))
      return rows.map(readConflict)
    },

    async conflict(id) {
      const [row] = await ask<ConflictColumns>(prepared(sql.conflict, [id]))
      return row && readConflict(row)
    },

    async openConflicts(client) {
      const [row] = await ask<{ n: number }>(prepared(sql.openConflicts, [client]))
      return row!.n
    },

    async forget(q, node) {
      const { c = null, id = null, subject = null } = q as { c?: string; id?: string; subject?: string }
      const values = [q.scope, c, id, subject, node]
      const [row] = await ask<{ records: number; clients: string }>(prepared(sql.forget, values), ALL_MS)
      return { records: row!.records, clients: JSON.parse(row!.clients) as string[] }
    },

    async ofSubject(scope, subject, after, limit) {
      const values = [scope, subject, after?.c ?? '', after?.id ?? '', limit]
      const [row] = await ask<{ records: string }>(prepared(sql.ofSubject, values))
      return (JSON.parse(row!.records) as RecordColumns[]).map(readRecord)
    },

    async gc({ tombstonesMs, opsMs, batch }) {
      const [row] = await ask<{ tombstones: number; ops: number }>(prepared(sql.gc, [tombstonesMs, opsMs, batch]))
      return { tombstones: row!.tombstones, ops: row!.ops }
    },

    rebase: () => rebase(true),

    async trace(correlationId) {
      const rows = await ask<TraceColumns>(prepared(sql.trace, [toText(correlationId), TRACED]))
      return rows.map(({ at_ms: atMs, client, op, result }) => ({ atMs, client, op, result }))
    },

    async inspect() {
      const [row] = await ask<StatusColumns>(prepared(sql.inspect, [COUNTED]))
      const { records, tombstones, ops, conflicts: openConflicts, era, horizon_age_ms: ageMs } = row!
      return {
        records,
        tombstones,
        ops,
        openConflicts,
        era,
        horizonAgeMs: ageMs === null ? null : Math.max(0, ageMs),
      }
    },

    async health() {
      // Not long: each probe of a server that stands still keeps a connection of the pool.
      await ask({ text: 'select 1' }, PING_MS)
    },
    async close() {},
  }
}

const optionFailure = (message: string): SyncError => new SyncError('OPTION_INVALID', message)

interface ConflictColumns {
  readonly id: string
  readonly scope: string
  readonly c: string
  readonly record: string
  readonly code: ConflictRow['code']
  readonly op: string
  readonly current: string | null
  readonly principal: string
  readonly client: string
  readonly at_ms: number
  readonly status: ConflictRow['status']
}

function readConflict({ at_ms: atMs, op, current, principal, ...row }: ConflictColumns): ConflictRow {
  return {
    ...row,
    op: JSON.parse(op) as ConflictRow['op'],
    current: current === null ? null : (JSON.parse(current) as ConflictRow['current']),
    principal: fromText(principal),
    atMs,
  }
}

interface TraceColumns {
  readonly at_ms: number
  readonly client: string
  readonly op: string
  readonly result: string
}

interface StatusColumns {
  readonly records: number
  readonly tombstones: number
  readonly ops: number
  readonly conflicts: number
  readonly era: number
  readonly horizon_age_ms: number | null
}
