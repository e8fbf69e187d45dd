import { createAsk, prepared, unit, type KnownDatabase } from '@keelson/kernel/postgres'
import type { DropLog, DropRow } from '../store.ts'
import {
  backlogSql,
  claimOwedSql,
  doneSql,
  oweManySql,
  oweSql,
  pendingOfSql,
  pendingSql,
  traceSql,
} from './owed.sql.ts'
import { insertDrops } from './insert.ts'
import { fromText, toList, toText } from './text.ts'

const COLUMNS = ['id', 'name', 'scope', 'tag', 'operation', 'correlationId'] as const

/** The log of a tier elsewhere: a row is deleted once that tier has applied it. */
export function createLog(
  target: KnownDatabase,
  schema: string,
  { pollMs, relayAfterMs }: { pollMs: number; relayAfterMs: number },
): DropLog {
  const ask = createAsk(target)
  const sql = {
    owe: { one: oweSql(schema), many: oweManySql(schema) },
    claim: claimOwedSql(schema),
    pending: pendingSql(schema),
    pendingOf: pendingOfSql(schema),
    done: doneSql(schema),
    trace: traceSql(schema),
    backlog: backlogSql(schema),
  }
  return {
    pollMs,
    relayAfterMs,

    statement: (rows) => insertDrops(rows, COLUMNS, sql.owe),

    async claim(name, { olderThanMs, limit }, apply) {
      const outcome = await unit<{ count: number } | { error: unknown }>(target, {
        open: [prepared(sql.claim, [name, olderThanMs, limit])],
        isolation: 'read committed',
        retries: 0,
        async work(_, [claimed]) {
          const rows = (claimed!.rows as DropRow[]).map(readRow)
          if (rows.length === 0) return { end: 'rollback', value: { count: 0 } }
          try {
            await apply(rows)
          } catch (error) {
            // A COMMIT of nothing: once this is told, the rows are free again.
            return { end: 'commit', statements: [], value: { error } }
          }
          // Without the name that `done` gives it: one connection must not hear a name from two sides.
          const done = { text: sql.done, values: [toList(rows.map(({ id }) => id))] }
          return { end: 'commit', statements: [done], value: { count: rows.length } }
        },
      })
      if ('error' in outcome) throw outcome.error
      return outcome.count
    },

    async pending(name, { operation, limit = null }: { operation?: string; limit?: number | null } = {}) {
      const statement =
        operation === undefined
          ? prepared(sql.pending, [name, limit])
          : prepared(sql.pendingOf, [name, limit, toText(operation)])
      return (await ask<DropRow>(statement)).map(readRow)
    },

    async done(ids) {
      if (ids.length > 0) await ask(prepared(sql.done, [toList(ids)]))
    },

    async trace(name, correlationId) {
      const rows = await ask<{ scope: string; tag: string; at: number }>(
        prepared(sql.trace, [name, toText(correlationId)]),
      )
      return rows.map(({ scope, tag, at }) => ({ scope: fromText(scope), tag: fromText(tag), at }))
    },

    async backlog(name) {
      const [row] = await ask<{ rows: number; oldest_ms: number }>(prepared(sql.backlog, [name]))
      return { rows: row!.rows, oldestMs: row!.oldest_ms }
    },
  }
}

function readRow({ id, name, scope, tag, operation }: DropRow): DropRow {
  return { id, name, scope: fromText(scope), tag: fromText(tag), operation: fromText(operation) }
}
