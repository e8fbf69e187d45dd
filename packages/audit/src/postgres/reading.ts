import { prepared, unit, type Ask, type KnownDatabase } from '@keelson/kernel/postgres'
import type { AuditStore } from '../store.ts'
import { readSealed, type LeafRow } from './leaf-row.ts'
import { findSql, headSql, readSql, tilesSql } from './read.sql.ts'
import { searchStatement, windowSql } from './search.ts'

type Reading = Pick<AuditStore, 'head' | 'publish' | 'checkpoints' | 'read' | 'find' | 'search' | 'tiles'>

interface HeadRow {
  readonly size: number
  readonly frontier: string
  readonly pruned: number
}

/** What is sealed. */
export function createReading(target: KnownDatabase, schema: string, ask: Ask): Reading {
  const sql = {
    head: headSql(schema),
    // The same size is signed again when the keys have changed.
    publish: `insert into ${schema}.audit_checkpoint as c (log, size, note) values ($1, $2::float8::bigint, $3)
      on conflict (log, size) do update set note = excluded.note where c.note <> excluded.note`,
    checkpoints: `select size::float8 as size, note from ${schema}.audit_checkpoint
      where log = $1 and size >= $2::float8::bigint order by size limit $3::integer`,
    lastCheckpoint: `select size::float8 as size, note from ${schema}.audit_checkpoint
      where log = $1 order by size desc limit 1`,
    read: readSql(schema),
    find: findSql(schema),
    window: windowSql(schema),
    // What waits to be sorted into an index makes it look dearer than the whole table.
    planned: "select set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)",
    tiles: tilesSql(schema),
  }
  return {
    async head(log) {
      const [row] = await ask<HeadRow>(prepared(sql.head, [log]))
      if (row === undefined) return { size: 0, frontier: new Uint8Array(0), pruned: 0 }
      return { size: row.size, frontier: Buffer.from(row.frontier, 'base64'), pruned: row.pruned }
    },

    async publish(log, { size, note }) {
      await ask(prepared(sql.publish, [log, size, note]))
    },

    checkpoints: (log, q) =>
      ask('last' in q ? prepared(sql.lastCheckpoint, [log]) : prepared(sql.checkpoints, [log, q.from, q.limit])),

    async read(log, from, { entries, bytes }) {
      const rows = await ask<LeafRow>(prepared(sql.read, [log, from, entries, bytes]))
      const gap = rows.findIndex(({ idx }, i) => idx !== rows[0]!.idx + i)
      return (gap < 0 ? rows : rows.slice(0, gap)).map(readSealed)
    },

    async find(log, id) {
      const [row] = await ask<LeafRow>(prepared(sql.find, [log, id]))
      return row === undefined ? null : readSealed(row)
    },

    async search(log, q) {
      let window = { from: 0, to: null as number | null }
      if (q.fromMs !== undefined || q.toMs !== undefined) {
        const values = [log, q.fromMs ?? null, q.toMs ?? null]
        const [row] = await ask<{ from: number | null; to: number | null }>(prepared(sql.window, values))
        if (row!.from === null) return []
        window = { from: row!.from, to: row!.to }
      }
      return unit(target, {
        // Which filters there are is for the caller to say: this text is not kept.
        open: [prepared(sql.planned), searchStatement(schema, log, q, window)],
        work: async (_, [, found]) => ({ end: 'rollback', value: (found!.rows as LeafRow[]).map(readSealed) }),
      })
    },

    async tiles(log, refs) {
      if (refs.length === 0) return []
      const levels = refs.map(({ level }) => level).join(',')
      const numbers = refs.map(({ index }) => index).join(',')
      const rows = await ask<{ hashes: string | null }>(prepared(sql.tiles, [log, levels, numbers]))
      return rows.map(({ hashes }) => (hashes === null ? null : Buffer.from(hashes, 'base64')))
    },
  }
}
