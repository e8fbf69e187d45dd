import type { Pool } from 'pg'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { CHANGES, EDITS, FEW, LARGE } from './sizes.ts'
import { newSchema, openTable, type Table } from './table.ts'
import { idOf, SCOPE, titleOf, WHO } from './tasks.ts'

const AMONG_MANY = `among ${LARGE} records`
const AMONG_FEW = `among ${FEW} records`
const CHANGED = `among ${FEW}, changed ${CHANGES} times`
const BEHIND_WRITER = `the same behind a transaction that stays open`
const NAIVE = `a naive sequence cursor among ${LARGE} rows`

/** The newest edits of a table, pulled again and again from the same cursor. */
export function deltas(services: Services): Case[] {
  const contender = (name: string, rows: number, changes: number, hasWriter: boolean): Contender => ({
    name,
    async open() {
      const table = await openTable(services, rows)
      const writer = hasWriter ? await table.pool.connect() : undefined
      // It has a transaction id, as one that writes does.
      await writer?.query('begin; select pg_current_xact_id()')
      for (let from = 0; from < changes; from += 1_000) await edit(table, 1_000, from)
      const cursor = await newest(table)
      await edit(table, EDITS, 0)
      return {
        run: (forMs) => closedLoop(1, forMs, () => pull(table, cursor)),
        async close() {
          await writer?.query('rollback')
          writer?.release()
          await table.close()
        },
      }
    },
  })
  return [
    {
      name: `a delta of ${EDITS} records`,
      note: 'one caller of pull(), until the answer is an object. The naive cursor loses what commits late; it has the documents as they go out',
      base: AMONG_FEW,
      contenders: [
        contender(AMONG_MANY, LARGE, 0, false),
        contender(AMONG_FEW, FEW, 0, false),
        contender(BEHIND_WRITER, FEW, CHANGES, true),
        contender(CHANGED, FEW, CHANGES, false),
        naive(services),
      ],
      targets: [
        { of: AMONG_MANY, figure: 'p50 ms', over: AMONG_FEW, atMost: 1.2 },
        { of: BEHIND_WRITER, figure: 'p50 ms', over: CHANGED, atMost: 1.5 },
        { of: AMONG_MANY, figure: 'p50 ms', over: NAIVE, atMost: 1.4 },
      ],
    },
  ]
}

/** Each record once, one transaction. */
async function edit({ sync }: Table, count: number, from: number): Promise<void> {
  const changes = Array.from({ length: count }, (_, i) => {
    const n = (from + i) % FEW
    return { c: 'task', scope: SCOPE, x: { t: 'patch' as const, id: idOf(n), set: { title: titleOf(from, n) } } }
  })
  await sync.write(changes)
}

/** A device that has everything: told by the store, since nobody waits for a million records to be pulled. */
async function newest({ sync, store }: Table): Promise<string> {
  const { cursor } = await sync.pull(WHO, { v: 1, cursor: null, limit: 1 })
  const { token } = await store.changed(null, [SCOPE])
  const [version, floor, , ...rest] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
  const [collections, schema, , scopes] = rest
  if (floor !== null) throw new Error('the cursor of a first page has no floor')
  return Buffer.from(JSON.stringify([version, token, scopes, collections, schema])).toString('base64url')
}

async function pull({ sync }: Table, cursor: string): Promise<void> {
  const { changes, more } = await sync.pull(WHO, { v: 1, cursor })
  if (changes['task']?.updated.length !== EDITS || more) throw new Error('that is not the delta')
}

/** As it is written by hand: rows have the next number of a sequence, which tells nothing of who commits when. */
function naive(services: Services): Contender {
  return {
    name: NAIVE,
    async open() {
      const { pool, close } = await openPool(await services.databaseUrl(), newSchema(services), 1)
      await pool.query(`create table task (scope text, id text, doc jsonb not null, h text not null, seq bigserial,
          primary key (scope, id));
        insert into task (scope, id, doc, h)
          select '${SCOPE}', 't' || n, jsonb_build_object('team', '1', 'title', 'Call back number ' || n, 'done', false,
            'note', 'As they asked on day ' || n % 365 || ', please'), '0mh3q1x2a-0000-bench'
          from generate_series(0, ${LARGE - 1}) as n;
        create index on task (scope, seq)`)
      await pool.query('vacuum analyze task')
      const { rows } = await pool.query('select max(seq) as last from task')
      await pool.query(`update task set seq = nextval('task_seq_seq'), doc = doc || '{"title":"${titleOf(1, 1)}"}'
        where scope = '${SCOPE}' and id in (select 't' || n from generate_series(0, ${EDITS - 1}) as n)`)
      return { run: (forMs) => closedLoop(1, forMs, () => pullNaively(pool, rows[0].last)), close }
    },
  }
}

async function pullNaively(pool: Pool, last: string): Promise<void> {
  const { rows } = await pool.query({
    name: 'naive',
    text: 'select id, h, doc, seq from task where scope = $1 and seq > $2 order by seq limit 1001',
    values: [SCOPE, last],
  })
  const updated = rows.map(({ id, h, doc }) => ({ id, s: 'AAAAAAAAAAA', h, doc }))
  const answer = { v: 1, now: Date.now(), mode: 'delta', changes: { task: { created: [], updated, deleted: [] } } }
  if (answer.changes.task.updated.length !== EDITS) throw new Error('that is not the delta')
}
