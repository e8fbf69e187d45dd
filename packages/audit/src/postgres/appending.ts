import type { Statement } from '@keelson/kernel'
import { prepared, unit, type Ask, type KnownDatabase } from '@keelson/kernel/postgres'
import { AuditError } from '../error.ts'
import type { AuditStore, Row } from '../store.ts'
import { appendSql } from './append.sql.ts'
import { readAppendError, readError } from './errors.ts'
import { toList } from './text.ts'

/** Of one statement. */
const MAX_ROWS = 5_000
const MAX_BYTES = 8 * 1024 * 1024

/** How rows get into a log. */
export function createAppending(
  target: KnownDatabase,
  schema: string,
  ask: Ask,
): Required<Pick<AuditStore, 'append' | 'statements'>> {
  const sql = appendSql(schema)

  function statement(log: string, rows: readonly Row[], fail = true): Statement {
    const keys = keysOf(rows)
    const [first] = rows
    if (rows.length === 1) {
      const values = [first!.id, log, first!.bytes, fail]
      return keys.length === 0 ? prepared(sql.one, values) : prepared(sql.oneKeyed, [...values, ...keys])
    }
    const { starts, lengths, all } = packed(rows.map(({ bytes }) => bytes))
    const values = [rows.map(({ id }) => id).join(','), log, all, starts, lengths]
    return keys.length === 0 ? prepared(sql.many, values) : prepared(sql.manyKeyed, [...values, ...keys])
  }

  return {
    async append(log, rows, tx) {
      const batches = batchesOf(once(rows))
      const [first] = batches
      if (first === undefined) return
      try {
        if (tx !== undefined) {
          // One row is written or not: a failed statement would only cost the caller the transaction.
          const alone = batches.length === 1 && first.length === 1
          for (const batch of batches) {
            const { text, values } = statement(log, batch, !alone)
            const { rows } = await tx.query(text, values)
            if (rows.some(({ same }: { same: boolean }) => !same)) throw other(first[0]!.id)
          }
        } else if (batches.length === 1) await ask(statement(log, first))
        else {
          const statements = batches.map((batch) => statement(log, batch))
          await unit(target, { open: [], work: async () => ({ end: 'commit', statements, value: undefined }) })
        }
      } catch (error) {
        // What becomes of the caller's own transaction is the caller's.
        throw tx === undefined ? readAppendError(error) : readError(error)
      }
    },

    statements: (log, rows) => batchesOf(once(rows)).map((batch) => statement(log, batch)),
  }
}

function other(id: string): AuditError {
  return new AuditError('ENTRY_INVALID', `another entry has the id ${id}`)
}

/** Rows that are told twice: within one INSERT the second one would go unnoticed. */
function once(rows: readonly Row[]): readonly Row[] {
  if (rows.length < 2) return rows
  const byId = new Map<string, Row>()
  for (const row of rows) {
    const known = byId.get(row.id)
    if (known !== undefined && Buffer.compare(known.bytes, row.bytes) !== 0) throw other(row.id)
    if (known === undefined) byId.set(row.id, row)
  }
  return byId.size === rows.length ? rows : [...byId.values()]
}

function batchesOf(rows: readonly Row[]): Row[][] {
  const batches: Row[][] = []
  let bytes = 0
  for (const row of rows) {
    bytes += row.bytes.byteLength
    const last = batches.at(-1)
    if (last === undefined || last.length === MAX_ROWS || bytes > MAX_BYTES) {
      batches.push([row])
      bytes = row.bytes.byteLength
    } else last.push(row)
  }
  return batches
}

/** What of the keys stands behind the other values; empty without keys. */
function keysOf(rows: readonly Row[]): unknown[] {
  const keys = rows.flatMap(({ id, keys }) => keys.map((key) => ({ id, ...key })))
  if (keys.length === 0) return []
  const { starts, lengths, all } = packed(keys.map(({ wrapped }) => wrapped))
  const [ids, scopes, refs] = [keys.map(({ id }) => id), keys.map(({ scope }) => scope), keys.map(({ ref }) => ref)]
  return [ids.join(','), toList(scopes), toList(refs), starts, lengths, all]
}

/** Many byte strings as one parameter, so that no driver's idea of lists is asked. SQL counts from 1. */
function packed(parts: readonly Uint8Array[]): { starts: string; lengths: string; all: Uint8Array } {
  let at = 1
  const starts = parts.map(({ byteLength }) => (at += byteLength) - byteLength)
  return {
    starts: starts.join(','),
    lengths: parts.map(({ byteLength }) => byteLength).join(','),
    all: Buffer.concat(parts),
  }
}
