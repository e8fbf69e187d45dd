import { setImmediate } from 'node:timers/promises'
import type { Statement, Tx } from '@keelson/kernel'
import { prepared, unit, type KnownDatabase } from '@keelson/kernel/postgres'
import { AuditError } from '../error.ts'
import type { AuditStore, Delta, Head, Leaf, Row } from '../store.ts'
import { readError } from './errors.ts'
import { SPAN } from './seal.sql.ts'
import { NO_PLACE, sealedUpTo, type Place, type Sealed } from './snapshot.ts'
import { termsOf } from './terms.ts'
import { toList, toText } from './text.ts'

/** What is folded at a time: the process does nothing else meanwhile. */
const CHUNK_ROWS = 500
const CHUNK_BYTES = 4 * 1024 * 1024
/** A server that does not answer in this time is given up. */
const STALL = '10s'

interface BeginRow extends Sealed {
  readonly size: number
  readonly frontier: string
  readonly known: string
  /** What this transaction seals is what this snapshot sees. */
  readonly now: string
}

interface UnsealedRow extends Place {
  readonly id: string
  readonly body: string
}

type Fold = (rows: readonly Row[], head: Head) => Delta

/** Seals in transactions under a lock of the log. While this process folds some rows, Postgres writes those before. */
export function createSealing(target: KnownDatabase, schema: string): Pick<AuditStore, 'seal'> {
  const sql = {
    begin: `select * from ${schema}.audit_begin_seal($1)`,
    next: `select * from ${schema}.audit_unsealed($1, $2::text::pg_snapshot, $3::text::xid8, $4::text::bigint,
      $5::text::pg_snapshot, $6::text::xid8, $7::text::bigint, $8::text::uuid, $9::integer, $10::float8::bigint)`,
    write: `select ${schema}.audit_seal($1, $2::float8::bigint, $3::float8::bigint, $4::bytea, $5::text::pg_snapshot,
      $6::text::xid8, $7::text::bigint, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
      $20::text::json, $21::bytea, $22::text::json)`,
  }

  function writeStatement(log: string, head: Head, delta: Delta, { done, xid, seq }: Sealed): Statement {
    const { leaves } = delta
    const moved = [log, head.size, delta.head.size, delta.head.frontier, done, xid, seq]
    return { text: sql.write, values: [...moved, ...columnsOf(log, leaves), ...tilesOf(delta), spansOf(leaves)] }
  }

  /** Undefined while somebody else seals. */
  const sealOnce = (log: string, max: number, fold: Fold): Promise<number | undefined> =>
    unit<number | undefined>(target, {
      open: [prepared(sql.begin, [log])],
      isolation: 'read committed',
      stall: STALL,
      async work(tx: Tx, [begun]) {
        const row = begun!.rows[0] as BeginRow | undefined
        if (row === undefined) return { end: 'rollback', value: undefined }
        const { now, known } = row
        let sealed: Sealed = row
        const read = async (from: Place, limit: number): Promise<readonly UnsealedRow[]> => {
          const [rest, behind] = from.xid === row.xid ? [from, NO_PLACE] : [row, from]
          const values = [log, row.done, rest.xid, rest.seq, now, behind.xid, behind.seq, known, limit, CHUNK_BYTES]
          return (await tx.query(sql.next, values)).rows as UnsealedRow[]
        }
        let head: Head = { size: row.size, frontier: Buffer.from(row.frontier, 'base64') }
        let left = max
        let asked = Math.min(CHUNK_ROWS, left)
        let reading = read(row, asked)
        for (;;) {
          const unsealed = await reading
          const rows = unsealed.map(readRow)
          const last = unsealed.at(-1)
          if (last === undefined) break
          left -= rows.length
          const isAll = rows.length < asked && bytesOf(rows) < CHUNK_BYTES
          asked = isAll ? 0 : Math.min(CHUNK_ROWS, left)
          // It is read while these are folded; what was folded before is written meanwhile.
          if (asked > 0) reading = read(last, asked)
          await setImmediate()
          const delta = checked(fold(rows, head), rows, head)
          sealed = isAll ? { done: now, ...NO_PLACE } : sealedUpTo(sealed, now, last)
          const statement = writeStatement(log, head, delta, sealed)
          if (asked === 0) return { end: 'commit', statements: [statement], value: max - left }
          tx.query(statement.text, statement.values).catch(() => {}) // the unit fails by it
          head = delta.head
        }
        return left === max ? { end: 'rollback', value: 0 } : { end: 'commit', statements: [], value: max - left }
      },
    })

  return {
    async seal(log, max, fold) {
      try {
        return (await sealOnce(log, max, fold)) ?? 'busy'
      } catch (error) {
        throw readError(error)
      }
    },
  }
}

function readRow({ id, body }: UnsealedRow): Row {
  return { id, bytes: Buffer.from(body, 'base64'), keys: [] }
}

const bytesOf = (rows: readonly Row[]): number => rows.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)

/** Columns take their index from their place. */
function checked(delta: Delta, rows: readonly Row[], head: Head): Delta {
  const { leaves } = delta
  const isDense = leaves.every(({ index, id }, i) => index === head.size + i && id === rows[i]?.id)
  if (isDense && leaves.length === rows.length && delta.head.size === head.size + rows.length) return delta
  throw new AuditError('STORE_CORRUPT', `what was folded is not what stands from ${head.size} on`)
}

function columnsOf(log: string, leaves: readonly Leaf[]): string[] {
  return [
    leaves.map(({ id }) => id).join(','),
    leaves.map(({ atMs }) => Math.floor(atMs)).join(','),
    toList(leaves.map(({ scope }) => scope)),
    toList(leaves.map(({ actorType }) => actorType)),
    toList(leaves.map(({ actorId }) => actorId)),
    toList(leaves.map(({ action }) => action)),
    toList(leaves.map(({ targetType }) => targetType)),
    toList(leaves.map(({ targetId }) => targetId)),
    toList(leaves.map(({ outcome }) => outcome)),
    toList(leaves.map(({ correlationId }) => correlationId)),
    // A list in a list: what separates them is escaped in each.
    leaves.map(({ refs }) => (refs.length === 0 ? '\\N' : refs.map(toText).join('\t'))).join('\n'),
    leaves.map((leaf) => `{${termsOf(log, leaf).join(',')}}`).join(' '),
  ]
}

function tilesOf({ tiles }: Delta): [json: string, hashes: Uint8Array] {
  let start = 1
  const rows = tiles.map(({ level, index, offset, hashes }) => {
    const row = { level, n: index, at: offset, start, bytes: hashes.byteLength }
    start += hashes.byteLength
    return row
  })
  return [JSON.stringify(rows), Buffer.concat(tiles.map(({ hashes }) => hashes))]
}

/** The extremes of each span: instants and ids, which grow with their text. */
function spansOf(leaves: readonly Leaf[]): string {
  const spans = new Map<number, { n: number; min_at_ms: number; max_at_ms: number; min_id: string; max_id: string }>()
  for (const { index, id, atMs } of leaves) {
    const n = Math.floor(index / SPAN)
    const at = Math.floor(atMs)
    const span = spans.get(n)
    if (span === undefined) spans.set(n, { n, min_at_ms: at, max_at_ms: at, min_id: id, max_id: id })
    else {
      span.min_at_ms = Math.min(span.min_at_ms, at)
      span.max_at_ms = Math.max(span.max_at_ms, at)
      if (id < span.min_id) span.min_id = id
      if (id > span.max_id) span.max_id = id
    }
  }
  return JSON.stringify([...spans.values()])
}
