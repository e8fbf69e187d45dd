import { prepared, type Ask } from '@keelson/kernel/postgres'
import type { AuditStore } from '../store.ts'
import { advanceSql, claimSql, releaseSql } from './cursor.sql.ts'
import { fromText, toText } from './text.ts'

/** Where sinks are, timed by the server. */
export function createCursors(schema: string, ask: Ask): Pick<AuditStore, 'claim' | 'advance' | 'release'> {
  const sql = { claim: claimSql(schema), advance: advanceSql(schema), release: releaseSql(schema) }
  return {
    async claim(log, sink, owner, ttlMs) {
      const values = [log, sink, owner, Math.ceil(ttlMs)]
      const [row] = await ask<{ fence: number; at: number; state: string | null }>(prepared(sql.claim, values))
      return row === undefined ? null : { fence: row.fence, at: row.at, state: fromText(row.state) }
    },

    async advance(log, sink, fence, to, ttlMs, state) {
      const kept = state == null ? null : toText(state)
      const values = [log, sink, fence, to, Math.ceil(ttlMs), state !== undefined, kept]
      return (await ask(prepared(sql.advance, values))).length > 0
    },

    async release(log, sink, fence) {
      await ask(prepared(sql.release, [log, sink, fence]))
    },
  }
}
