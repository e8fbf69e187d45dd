import { checkOptions, opt } from '@keelson/kernel'
import {
  checkSchema,
  createAsk,
  database,
  prepared,
  unit,
  type DatabaseLike,
  type Migration,
} from '@keelson/kernel/postgres'
import { optionFailure } from '../error.ts'
import type { AuditStore, HoldRow } from '../store.ts'
import { createAppending } from './appending.ts'
import { createCursors } from './cursors.ts'
import { createDeadLetters } from './dead-letters.ts'
import { createKeys } from './keys.ts'
import { migrations } from './migrations.ts'
import { createReading } from './reading.ts'
import { createSealing } from './sealing.ts'
import { inspectSql, isSealedSql } from './status.sql.ts'
import { fromText, toText } from './text.ts'

export { migrations } from './migrations.ts'

/** Entries that `inspect` counts: with more it says so many. */
const COUNTED = 100_000
/** The partitions of the months to come are looked for so often. */
const PARTITIONS_MS = 3_600_000
/** What is deleted may be much. */
const PRUNE = '10m'
/** A probe is given up after this time. */
const PING_MS = 1_000

/** What only the owner of the tables does. */
export interface Adopting {
  /**
   * Takes over a log that was restored from a backup into another server: its numbers of transactions mean nothing there.
   * Once, as the owner of the tables, while nothing else runs. Answers how many of its entries are not sealed yet.
   */
  adopt(log?: string): Promise<number>
}

/**
 * An audit log in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that the
 * business rows live in, so that entries commit with them. Apply its `migrations` with `migrate(db, [store])`.
 * @throws KeelsonError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string } = {},
): AuditStore & { readonly migrations: readonly Migration[]; readonly schema: string } & Adopting {
  const checked = checkOptions('postgresStore', options, { schema: opt.string('keelson') }, optionFailure)
  const schema = checkSchema(checked.schema)
  const target = database(db)
  const ask = createAsk(target)
  const { seal } = createSealing(target, schema)
  let partitionsDueMs = 0
  const sql = {
    isSealed: isSealedSql(schema),
    inspect: inspectSql(schema),
    partitions: `select ${schema}.audit_partitions()`,
    prunable: `select ${schema}.audit_prunable($1, $2::float8::bigint)::float8 as n`,
    prune: `select ${schema}.audit_prune($1, $2::float8::bigint)::float8 as n`,
    adopt: `select ${schema}.audit_adopt($1)::float8 as n`,
    hold: `insert into ${schema}.audit_hold (log, id, scope, reason, at_ms)
      values ($1, $2, $3, $4, $5::float8::bigint) on conflict do nothing`,
    unhold: `delete from ${schema}.audit_hold where log = $1 and id = $2 returning 1`,
    holds: `select id, scope, reason, at_ms::float8 as at_ms from ${schema}.audit_hold where log = $1 order by at_ms, id`,
  }

  return {
    kind: 'postgres',
    durability: 'tx',
    transactional: true,
    migrations,
    schema,
    ...createAppending(target, schema, ask),

    async seal(log, max, fold) {
      if (performance.now() >= partitionsDueMs) {
        await ask(prepared(sql.partitions))
        partitionsDueMs = performance.now() + PARTITIONS_MS
      }
      return seal(log, max, fold)
    },

    async mark() {
      const [row] = await ask<{ mark: string }>(prepared('select pg_current_snapshot()::text as mark'))
      return row!.mark
    },

    async isSealed(log, mark) {
      const [row] = await ask<{ sealed: boolean }>(prepared(sql.isSealed, [log, mark]))
      return row!.sealed
    },

    ...createReading(target, schema, ask),
    ...createCursors(schema, ask),
    deadLetters: createDeadLetters(schema, ask),
    ...createKeys(schema, ask),

    async prunable(log, beforeMs) {
      const [row] = await ask<{ n: number }>(prepared(sql.prunable, [log, Math.floor(beforeMs)]))
      return row!.n
    },

    async prune(log, upTo) {
      return unit<number>(target, {
        open: [prepared(sql.prune, [log, upTo])],
        // What was committed while it waited for the lock of a month must be seen, or it goes unsealed.
        isolation: 'read committed',
        openTimeout: PRUNE,
        work: async (_, [pruned]) => {
          return { end: 'commit', statements: [], value: (pruned!.rows[0] as { n: number }).n }
        },
      })
    },

    async adopt(log = 'main') {
      const [row] = await ask<{ n: number }>(prepared(sql.adopt, [log]))
      return row!.n
    },

    async hold(log, { id, scope, reason, atMs }) {
      await ask(prepared(sql.hold, [log, toText(id), toText(scope), toText(reason), Math.floor(atMs)]))
    },

    async unhold(log, id) {
      return (await ask(prepared(sql.unhold, [log, toText(id)]))).length > 0
    },

    async holds(log) {
      const rows = await ask<{ id: string; scope: string; reason: string; at_ms: number }>(prepared(sql.holds, [log]))
      return rows.map(({ id, scope, reason, at_ms: atMs }): HoldRow => {
        return { id: fromText(id), scope: fromText(scope), reason: fromText(reason), atMs }
      })
    },

    async inspect(log) {
      const [row] = await ask<StatusColumns>(prepared(sql.inspect, [log, COUNTED]))
      const { unsealed, oldest, now_ms: nowMs, size, bytes, cursors } = row!
      return {
        unsealed,
        oldestUnsealedMs: oldest === null ? null : Math.max(0, nowMs - msOf(oldest)),
        bytes,
        size,
        cursors: JSON.parse(cursors) as Record<string, number>,
      }
    },

    async health() {
      // Not long: each probe of a server that stands still keeps a connection of the pool.
      await ask({ text: 'select 1' }, PING_MS)
    },
    async close() {},
  }
}

interface StatusColumns {
  readonly unsealed: number
  readonly oldest: string | null
  readonly now_ms: number
  readonly size: number
  readonly bytes: number
  readonly cursors: string
}

/** When a UUIDv7 was made. */
function msOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
