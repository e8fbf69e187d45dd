import pg from 'pg'
import { migrate, transact } from '@keelson/kernel/postgres'
import type { Effect } from '@keelson/kernel'
import { createSync, type Op, type PushRequest, type Win } from '@keelson/sync'
import { postgresStore } from '@keelson/sync/postgres'
import { flight } from '../../../../tools/crash/flight.ts'
import type { Counts, CrashScenario } from '../../../../tools/crash/scenario.ts'
import { formatStamp } from '../../src/stamp.ts'

// BEGIN; what is read and locked; the savepoint; what the application writes; all the rest and COMMIT.
flight(pg.Client.prototype, 'query')

const ann = { principal: { id: 'ann' } }
const SCOPE = 'acme/team:1'

/**
 * A push of a device of its own: a record, the same field of a record that all write, and an edit that is a conflict. Each
 * win is a row of the application and one of an effect. 'within' is part of a transaction of the application.
 */
const scenario: CrashScenario = {
  kinds: { push: 3, within: 1 },

  async open({ databaseUrl, space }) {
    const db = new pg.Pool({ connectionString: databaseUrl, max: 12 })
    db.on('error', () => {})
    // Also how long a push waits for the record that all write.
    const store = postgresStore(db, { schema: space, storeTimeout: '60s' })
    await migrate(db, [store, tablesIn(space)])

    async function apply(tx: { query: pg.Pool['query'] }, wins: readonly Win[]): Promise<readonly Effect[]> {
      for (const { op } of wins) await tx.query(`insert into ${space}.win (op) values ($1)`, [op])
      return wins.map(({ op }) => ({
        kind: 'test.effect',
        statements: () => [{ text: `insert into ${space}.effect (op) values ($1)`, values: [op] }],
      }))
    }
    const sync = createSync({
      store,
      storeTimeout: '60s',
      scopes: () => [SCOPE],
      collections: { task: { fields: { by: 'lww' }, scope: () => SCOPE, apply: apply as never } },
      onConflict: async (_, { op: { op } }) => [
        {
          kind: 'test.told',
          statements: () => [{ text: `insert into ${space}.told (op) values ($1)`, values: [op] }],
        },
      ],
    })

    /** Of one device that looks on; only the witness asks for it. */
    const seen = new Map<string, string>()
    let cursor: string | null = null
    async function pull(pages: number): Promise<void> {
      for (let page = 0; page < pages; page++) {
        const { changes, more, ...answer } = await sync.pull(ann, { v: 1, cursor, limit: 3 })
        for (const { id, h } of [...(changes['task']?.created ?? []), ...(changes['task']?.updated ?? [])]) {
          seen.set(id, h)
        }
        cursor = answer.cursor
        if (!more) return
      }
    }

    return {
      async write(key, kind) {
        const request: PushRequest = { v: 1, client: key, ops: opsOf(key) }
        const push = async (tx?: Parameters<typeof sync.push>[2]) => (await sync.push(ann, request, tx)).results
        const results =
          kind === 'push'
            ? await push()
            : await transact(db, async (tx) => ({ value: await push({ tx }), effects: [] }))
        return JSON.stringify(results.map((result) => ({ ...result, replay: undefined })))
      },
      async read(keys) {
        await pull(2)
        const { rows } = await db.query(
          `select key, (select count(*)::int from ${space}.win t where t.op = k.key || '_own') as wins,
  (select count(*)::int from ${space}.effect t where t.op = k.key || '_own') as effects,
  (select count(*)::int from ${space}.told t where t.op = k.key || '_gone') as told,
  (select count(*)::int from ${space}.sync_op t where t.client = k.key) ::float8 / 3 as results,
  (select count(*)::int from ${space}.sync_conflict f where f.client = k.key) as conflicts,
  (select count(*)::int from ${space}.sync_record r where r.id = k.key) as records
from unnest($1::text[]) as k(key)`,
          [keys],
        )
        return new Map<string, Counts>(rows.map(({ key, ...counts }: { key: string }) => [key, counts]))
      },
      async check() {
        // What is under way ends at the target of its first page; the next one goes to the end.
        await pull(Infinity)
        await pull(Infinity)
        const { rows } = await db.query<{ id: string; h: string }>(`select id, h from ${space}.sync_record`)
        const missed = rows.filter(({ id, h }) => seen.get(id) !== h).map(({ id }) => id)
        if (missed.length > 0) return `the device that looked on has missed ${missed.join(', ')}`
        for (const table of ['win', 'effect']) {
          const { rows: wrong } = await db.query(`select coalesce(o.op, t.op) as op, o.result, t.times::int
            from (select op, result from ${space}.sync_op where result not like '{%' or result like '%"status":"applied"%') o
            full join (select op, count(*) as times from ${space}.${table} group by op) t using (op)
            where (t.times = 1 and o.op is not null) is not true`)
          if (wrong.length > 0) return `not one ${table} for what was applied: ${JSON.stringify(wrong)}`
        }
        return seen.size === rows.length ? undefined : 'it knows more than there is'
      },
    }
  },
}
export default scenario

function opsOf(key: string): readonly Op[] {
  const now = Date.now()
  const h = (counter: number): string => formatStamp({ ms: now, counter, node: 'dev' })
  return [
    { op: `${key}_own`, c: 'task', id: key, t: 'put', h: h(0), set: { by: key } },
    { op: `${key}_all`, c: 'task', id: 'shared', t: 'put', h: h(1), set: { by: key } },
    { op: `${key}_gone`, c: 'task', id: `${key}.none`, t: 'patch', h: h(2), set: { by: key } },
  ]
}

const tablesIn = (schema: string) => ({
  schema,
  migrations: [
    {
      package: 'test',
      id: '0001_tables',
      statements: ['win', 'effect', 'told'].map((name) => `create table {schema}.${name} (op text not null)`),
    },
  ],
})
