import { prepared, type Ask } from '@keelson/kernel/postgres'
import type { DeadRows } from '../store.ts'
import { burySql, countDeadSql, listDeadSql, removeDeadSql, unburySql } from './dead.sql.ts'
import { fromText, toList, toText } from './text.ts'

interface DeadColumns {
  readonly sink: string
  readonly idx: number
  readonly id: string
  readonly reason: string
  readonly at_ms: number
  readonly again: boolean
}

/** What sinks refused for good. */
export function createDeadLetters(schema: string, ask: Ask): DeadRows {
  const sql = {
    bury: burySql(schema),
    list: listDeadSql(schema),
    unbury: unburySql(schema),
    remove: removeDeadSql(schema),
    count: countDeadSql(schema),
  }
  const change = async (
    text: string,
    log: string,
    q: { readonly sink?: string; readonly ids?: readonly string[] },
  ): Promise<number> => {
    const values = [log, textOf(q.sink), q.ids === undefined ? null : toList(q.ids)]
    const [row] = await ask<{ n: number }>(prepared(text, values))
    return row!.n
  }

  return {
    async bury(log, rows) {
      if (rows.length === 0) return
      const values = [
        log,
        toList(rows.map(({ sink }) => sink)),
        rows.map(({ index }) => index).join(','),
        toList(rows.map(({ id }) => id)),
        toList(rows.map(({ reason }) => reason)),
        rows.map(({ atMs }) => Math.floor(atMs)).join(','),
      ]
      await ask(prepared(sql.bury, values))
    },

    async list(log, { sink, again = false, after, limit }) {
      const values = [
        log,
        textOf(sink),
        again,
        after === undefined ? '' : toText(after.sink),
        after?.index ?? -1,
        limit,
      ]
      const rows = await ask<DeadColumns>(prepared(sql.list, values))
      return rows.map(({ sink, idx, id, reason, at_ms: atMs, again }) => {
        return { sink: fromText(sink), index: idx, id: fromText(id), reason: fromText(reason), atMs, again }
      })
    },

    unbury: (log, q) => change(sql.unbury, log, q),
    remove: (log, q) => change(sql.remove, log, q),

    async count(log) {
      const rows = await ask<{ sink: string; n: number }>(prepared(sql.count, [log]))
      return Object.fromEntries(rows.map(({ sink, n }) => [fromText(sink), n]))
    },
  }
}

const textOf = (text: string | undefined): string | null => (text === undefined ? null : toText(text))
