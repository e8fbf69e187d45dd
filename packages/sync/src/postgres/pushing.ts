import type { Statement, Tx } from '@keelson/kernel'
import { prepared, unit, type KnownDatabase } from '@keelson/kernel/postgres'
import { keyText } from '../record-key.ts'
import type { Pushing, PushQuery, PushState, PushWrites, ResultRow, SyncStore } from '../store.ts'
import { textArray } from './arrays.ts'
import { readClient } from './client-row.ts'
import { busyError, isDeadlock, isLocked, isRaced } from './errors.ts'
import { readRecord, type RecordColumns } from './record-row.ts'
import { toText } from './text.ts'

/** How often others may be faster. */
const TRIES = 5

interface OpenColumns {
  readonly now_ms: number
  readonly device: string | null
  readonly results: string
  readonly records: string
  readonly busy: string
}

type Work<T> = (pushing: Pushing) => Promise<{ readonly writes: PushWrites; readonly value: T }>

/**
 * One transaction: opened in two flights, closed in one, and between them what the application does. BEGIN goes alone: a
 * server that does not answer it is away, one that does may let a push wait for what others hold.
 */
export function createPushing(target: KnownDatabase, schema: string, lockMs: number): Pick<SyncStore, 'push'> {
  const sql = {
    open: `select * from ${schema}.sync_open($1, $2::text::json, $3::text::text[], $4::boolean, $5::integer)`,
    write: `select ${schema}.sync_write($1, $2, $3, $4, $5::float8::bigint, $6::float8, $7, $8::integer, $9::integer,
      $10::text::text[], $11::text::text[], $12::text::text[], $13::text::text[], $14::text::text[], $15::text::text[],
      $16::text::text[], $17::text::jsonb, $18::text::text[], $19::text::text[], $20::text::text[], $21::text::json,
      $22::text::text[])`,
  }

  const openStatement = ({ client, keys, ops }: PushQuery, waits: boolean): Statement => {
    const rows = keys.map(({ scope, c, id }) => ({ s: scope, c, i: id }))
    return prepared(sql.open, [client, JSON.stringify(rows), textArray(ops), waits, lockMs])
  }

  function writeStatement({ client }: PushQuery, { records: held }: PushState, writes: PushWrites): Statement {
    const { client: device, results, conflicts, resolved, correlationId } = writes
    const known = new Set(held.map(keyText))
    const rows = writes.records.map((record, i) => ({ ...record, subject: writes.subjects.get(i) ?? null }))
    const created = rows.filter((row) => !known.has(keyText(row)))
    const records = [...created, ...rows.filter((row) => known.has(keyText(row)))]
    const listOf = (of: (row: (typeof records)[number]) => string | null): string => textArray(records.map(of))
    return prepared(sql.write, [
      client,
      toText(device.principal),
      device.top ?? null,
      device.topHere ?? null,
      device.pushed,
      device.offsetMs,
      toText(correlationId ?? null),
      lockMs,
      created.length,
      listOf(({ scope }) => scope),
      listOf(({ c }) => c),
      listOf(({ id }) => id),
      listOf(({ state }) => state.h),
      listOf(({ state }) => state.deletedAt ?? null),
      listOf(({ gone }) => gone ?? null),
      listOf(({ subject }) => subject),
      JSON.stringify(records.map(({ state }) => state.registers)),
      textArray(results.map(({ op }) => op)),
      textArray(results.map(({ fp }) => fp)),
      textArray(results.map(({ result }) => result)),
      JSON.stringify(
        conflicts.map(({ op, current, principal, atMs, ...row }) => ({
          ...row,
          op: JSON.stringify(op),
          current: current === null ? null : JSON.stringify(current),
          subjects: writes.conflictSubjects.get(row.id) ?? [],
          principal: toText(principal),
          at_ms: Math.floor(atMs),
        })),
      ),
      textArray(resolved),
    ])
  }

  /** What is read and locked, what the work makes of it, and the statements of both. */
  async function inside<T>(q: PushQuery, waits: boolean, work: Work<T>, tx: Tx) {
    const { text, values } = openStatement(q, waits)
    const { rows } = await tx.query(text, values)
    const state = readState(rows[0] as OpenColumns)
    const { writes, value } = await work({ state, tx, attempt: attemptIn(tx) })
    return { statements: [writeStatement(q, state, writes), ...writes.statements], value }
  }

  function inOwn<T>(q: PushQuery, waits: boolean, work: Work<T>): Promise<T> {
    return unit<T>(target, {
      open: [],
      openTimeout: lockMs,
      isolation: 'read committed',
      work: async (tx) => ({ end: 'commit', ...(await inside(q, waits, work, tx)) }),
    })
  }

  /** All or nothing, within what is the caller's. */
  function inTheirs<T>(q: PushQuery, waits: boolean, work: Work<T>, tx: Tx): Promise<T> {
    return attemptIn(
      tx,
      'push',
    )(async () => {
      const { statements, value } = await inside(q, waits, work, tx)
      for (const { text, values } of statements) await tx.query(text, values)
      return value
    })
  }

  return {
    async push(q, work, { tx } = {}) {
      let refusal: unknown
      const heard: typeof work = async (pushing) => {
        try {
          return await work(pushing)
        } catch (error) {
          refusal = error
          throw error
        }
      }
      let waits = true
      for (let tries = 1; ; tries++) {
        try {
          return await (tx === undefined ? inOwn(q, waits, heard) : inTheirs(q, waits, heard, tx))
        } catch (error) {
          // Whose transaction it is, theirs, does all of it again, or nobody does.
          const mayRepeat = tx === undefined && isDeadlock(error)
          const isOurs = error !== refusal && (isLocked(error) || isRaced(error))
          if (!mayRepeat && !isOurs) throw error
          if (tries === TRIES || (isLocked(error) && !waits)) throw busyError(error)
          // What was not free in time is left alone.
          if (isLocked(error)) waits = false
        }
      }
    },
  }
}

/** One savepoint each, by a name of its own. A good one is left to the end of the transaction, which saves a flight. */
function attemptIn(tx: Tx, name = 'attempt'): Pushing['attempt'] {
  let count = 0
  return async (fn) => {
    const savepoint = `keelson_${name}_${++count}`
    await tx.query(`savepoint ${savepoint}`)
    try {
      return await fn()
    } catch (error) {
      await tx.query(`rollback to savepoint ${savepoint}`)
      throw error
    }
  }
}

function readState({ now_ms: nowMs, device, results, records, busy }: OpenColumns): PushState {
  const rows = (JSON.parse(results) as [string, string, string][]).map(([op, fp, result]): ResultRow => {
    return { op, fp, result }
  })
  const held = (JSON.parse(records) as RecordColumns[]).map(readRecord)
  const own = new Set(held.map(keyText))
  const taken = (JSON.parse(busy) as [string, string, string][]).map(([scope, c, id]) => ({ scope, c, id }))
  return {
    nowMs,
    client: device === null ? undefined : readClient(device),
    results: new Map(rows.map((row) => [row.op, row])),
    records: held,
    busy: taken.filter((key) => !own.has(keyText(key))),
  }
}
