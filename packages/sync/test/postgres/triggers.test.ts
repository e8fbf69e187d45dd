import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Tx } from '@keelson/kernel'
import { database } from '@keelson/kernel/postgres'
import type { Change, Win } from '@keelson/sync'
import { triggerSql, type TriggerOptions } from '../../src/postgres/index.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { ann, openDevice, openSync } from '../open-sync.ts'
import { openPostgres, servers, type OpenStore } from './open-postgres.ts'

/** Names that nobody should choose. */
const TABLE = '"Ta""sks.$keelson$ \\ of \'us\'"'
const TITLE = '"the {""title""}\'s $1 \\"'

const KEPT = ['record', 'op', 'conflict', 'about', 'client']

/** A table whose rows are tasks, and a server whose `apply` writes it. */
async function stand(opened: OpenStore, more: Partial<TriggerOptions> = {}) {
  const { schema, store, query } = opened
  const tasks = `${schema}.${TABLE}`
  await query(`drop table if exists ${tasks}`)
  await query(`truncate ${KEPT.map((table) => `${schema}.sync_${table}`).join(', ')}`)
  await query(`create table ${tasks} (id text primary key, team text, ${TITLE} text default 'none', done boolean,
    budget numeric, other int)`)
  const text = triggerSql({
    schema,
    table: [schema, "Ta\"sks.$keelson$ \\ of 'us'"],
    id: 'id',
    c: 'task',
    scope: 'acme/team:{team}',
    columns: { team: 'team', title: 'the {"title"}\'s $1 \\', done: 'done', budget: 'budget' },
    ...more,
  })
  // Twice: it replaces what is there.
  for (let i = 0; i < 2; i++) await query(text)
  async function apply(tx: Tx | undefined, wins: readonly Win[]): Promise<void> {
    for (const { id, after } of wins) {
      await tx!.query(`delete from ${tasks} where id = $1 and $2`, [id, after === undefined])
      if (after === undefined) continue
      const values = [id, after['team'], after['title'], after['done'], after['budget']]
      await tx!.query(
        `insert into ${tasks} values ($1, $2, $3, $4, $5) on conflict (id) do update
        set (team, ${TITLE}, done, budget) = (excluded.team, excluded.${TITLE}, excluded.done, excluded.budget)`,
        values,
      )
    }
  }
  const sync = openSync({ store, task: { apply } })
  const versions = async (): Promise<number> =>
    (await query(`select count(distinct tx)::int as n from ${schema}.sync_record`)).rows[0].n as number
  const stampOf = async (id: string): Promise<string> =>
    (await query(`select max(h) as h from ${schema}.sync_record where id = $1`, [id])).rows[0].h as string
  return { ...opened, tasks, sync, device: openDevice(sync, ann, 'd1'), versions, stampOf }
}

const put = (team: string, title: string, done: boolean | null = null, budget: number | null = null) => {
  return { team, title, done, budget }
}

describe.each(Object.entries(servers))('triggers on %s', (_, open) => {
  let opened: OpenStore
  beforeAll(async () => void (opened = await open()))
  afterAll(() => opened[Symbol.asyncDispose]())

  test('what other SQL does to rows reaches devices: insert, update, delete, move, another id', async () => {
    const { tasks, query, device, stampOf } = await stand(opened)
    await query(`insert into ${tasks} values ('t1', '1', 'Call', false, 1.50), ('t2', '2', 'Write', null, null)`)
    const [first] = await device.pull()
    expect(first!.changes['task']!.created).toHaveLength(2)
    expect([device.doc('t1'), device.doc('t2')]).toEqual([put('1', 'Call', false, 1.5), put('2', 'Write')])

    await query(`update ${tasks} set done = true, other = 7 where id = 't1'`)
    await device.pull()
    expect(device.doc('t1')).toEqual(put('1', 'Call', true, 1.5))
    const before = await stampOf('t1')
    await query(`update ${tasks} set other = 8, done = true`)
    expect(await stampOf('t1')).toBe(before)

    await query(`update ${tasks} set team = '2', done = null where id = 't1'`)
    const [moved] = await device.pull()
    expect(moved!.changes['task']).toMatchObject({ created: [{ id: 't1' }], deleted: [{ id: 't1', why: 'scope' }] })
    expect(device.doc('t1')).toEqual(put('2', 'Call', null, 1.5))

    await query(`update ${tasks} set id = 't3', budget = 2 where id = 't2'`)
    await device.pull()
    expect([device.doc('t2'), device.doc('t3')]).toEqual([undefined, put('2', 'Write', true, 2)])

    await query(`delete from ${tasks} where id = 't1'`)
    const [last] = await device.pull()
    expect(last!.changes['task']!.deleted).toMatchObject([{ id: 't1', why: 'deleted' }])
    expect(device.records.size).toBe(1)
  })

  test('rows of no scope are nobody’s; a rollback leaves nothing, also of a savepoint', async () => {
    const { tasks, query, device, db } = await stand(opened)
    await query(`insert into ${tasks} values ('t1', null, 'Call'), ('no id of a record', null, 'Write')`)
    await device.pull()
    expect(device.records.size).toBe(0)
    await query(`update ${tasks} set team = '1' where id = 't1'`)
    await device.pull()
    expect(device.doc('t1')).toEqual(put('1', 'Call'))
    const rolledBack = database(db).transaction(async (tx) => {
      await tx.query(`update ${tasks} set ${TITLE} = 'no' where id = 't1'`)
      throw new Error('no')
    })
    await expect(rolledBack).rejects.toThrow('no')
    await database(db).transaction(async (tx) => {
      await tx.query('savepoint s')
      await tx.query(`delete from ${tasks} where id = 't1'`)
      await tx.query('rollback to s')
      await tx.query(`update ${tasks} set done = true where id = 't1'`)
    })
    await device.pull()
    expect(device.doc('t1')).toEqual(put('1', 'Call', true))
    await query(`update ${tasks} set team = null`)
    await device.pull()
    expect(device.records.size).toBe(0)
    // A record without an id, or in no place, would be seen by nobody.
    await expect(query(`update ${tasks} set team = '1'`)).rejects.toThrow(/sync: a row of "Ta.*no id of a record/)
    await expect(query(`insert into ${tasks} values ('t9', repeat('x', 200))`)).rejects.toThrow(/no id or scope/)
  })

  test('an update makes no record, and brings none back; an insert does', async () => {
    const { tasks, query, device, sync } = await stand(opened)
    await query(`alter table ${tasks} disable trigger user`)
    await query(`insert into ${tasks} values ('old', '1', 'Older than the trigger'), ('t1', '1', 'Call')`)
    await query(`alter table ${tasks} enable trigger user`)
    const change = (x: Change) => sync.write([{ c: 'task', x, scope: 'acme/team:1' }])
    await change({ t: 'put', id: 't1', set: put('1', 'Call') })
    await change({ t: 'delete', id: 't1' })
    await query(`update ${tasks} set done = true`)
    await query(`update ${tasks} set team = '2'`)
    await device.pull()
    expect(device.records.size).toBe(0)
    await query(`delete from ${tasks}; `)
    await query(`insert into ${tasks} values ('t1', '2', 'Call again')`)
    await device.pull()
    expect([...device.records.values()].map(({ doc }) => doc)).toEqual([put('2', 'Call again')])
  })

  test('no echo of a push, and none of a change; other rows that apply writes are changes', async () => {
    const { tasks, query, device, sync, db, versions, stampOf } = await stand(opened)
    const results = await device.push(
      device.op('t1', 'put', { set: put('1', 'Call') }),
      device.op('t2', 'put', { set: put('2', 'Write') }),
    )
    expect(results).toMatchObject([{ status: 'applied' }, { status: 'applied' }])
    expect([await stampOf('t1'), await stampOf('t2')]).toEqual(results.map(({ h }) => h))
    const [moved] = await device.push(device.op('t1', 'patch', { set: { team: '2' } }))
    expect(await stampOf('t1')).toBe(moved!.h)
    const [deleted] = await device.push(device.op('t2', 'delete'))
    expect([deleted!.status, await versions()]).toEqual(['applied', 2])
    expect((await query(`select id from ${tasks}`)).rows).toEqual([{ id: 't1' }])

    await database(db).transaction(async (tx) => {
      const x = { t: 'patch', id: 't1', set: { title: 'Changed' } } as const
      const { stamps } = await sync.write([{ c: 'task', x, scope: 'acme/team:2' }], { tx })
      await tx.query(`update ${tasks} set ${TITLE} = 'Changed'`)
      const { rows } = await tx.query(`select h from ${opened.schema}.sync_record where id = 't1' and gone is null`)
      expect(rows).toEqual([{ h: stamps[0] }])
      const made = { t: 'put', id: 't7', set: put('1', 'Made') } as const
      const written = await sync.write([{ c: 'task', x: made, scope: 'acme/team:1' }], { tx })
      await tx.query(`insert into ${tasks} values ('t7', '1', 'Made')`)
      const after = await tx.query(`select h from ${opened.schema}.sync_record where id = 't7'`)
      expect(after.rows).toEqual([{ h: written.stamps[0] }])
    })

    // Within a transaction of the caller, behind a push of the same record.
    await database(db).transaction(async (tx) => {
      const op = device.op('t1', 'patch', { set: { done: true } })
      await sync.push(ann, { v: 1, client: 'd1', ops: [op] }, { tx })
      await tx.query(`update ${tasks} set ${TITLE} = 'By SQL' where id = 't1'`)
    })
    await device.pull()
    expect(device.doc('t1')).toEqual(put('2', 'By SQL', true))
    await query(`insert into ${tasks} values ('t5', '1', 'Other row')`)
    const busy = openSync({
      store: opened.store,
      task: {
        async apply(tx: Tx | undefined) {
          await tx!.query(`update ${tasks} set ${TITLE} = 'Written by apply' where id in ('t1', 't5')`)
        },
      },
    })
    const other = openDevice(busy, ann, 'd2')
    await other.push(other.op('t1', 'patch', { set: { title: 'Mine' } }))
    await other.pull()
    expect([other.doc('t1'), other.doc('t5')]).toMatchObject([{ title: 'Mine' }, { title: 'Written by apply' }])
  })

  test('a strict field that other SQL wrote is one that the device has not seen', async () => {
    const { tasks, query, device, sync } = await stand(opened)
    const [made] = await device.push(device.op('t1', 'put', { set: put('1', 'Call', false, 1) }))
    await query(`update ${tasks} set budget = 2`)
    const stale = device.op('t1', 'patch', { set: { budget: 3 }, base: made!.h! })
    expect(await device.push(stale)).toMatchObject([
      { status: 'conflict', code: 'stale-base', rec: { doc: { budget: 2 } } },
    ])
    const late = openDevice(sync, ann, 'd2')
    const older = late.op('t1', 'patch', { set: { title: 'Late' } })
    await query(`update ${tasks} set ${TITLE} = 'Newer'`)
    expect(await late.push(older)).toMatchObject([{ status: 'superseded', lost: ['title'] }])
  })

  test('values are what to_jsonb makes of them, times in UTC', async () => {
    const { schema, query, store, db } = opened
    await query(`create table ${schema}.kinds (id int primary key, n numeric, b boolean, j jsonb, t timestamptz,
      a int[], "__odd key" text)`)
    const columns = ['n', 'b', 'j', 't', 'a', '__odd key']
    await query(triggerSql({ schema, table: `${schema}.kinds`, id: 'id', c: 'kind', scope: 'acme', columns }))
    await database(db).transaction(async (tx) => {
      await tx.query(`set local timezone = 'Asia/Kolkata'`)
      await tx.query(`insert into ${schema}.kinds values (1, 12.50, true, '{"x": [1, null]}', '2026-03-01 12:00:00.5Z',
        '{1,null}', 'o''dd \\ "text"')`)
      await tx.query(`insert into ${schema}.kinds (id) values (2)`)
    })
    const q = { scopes: [{ name: 'acme', isKnown: false }], collections: null, floor: null, limit: 9 }
    const pulled = await store.pull(q)
    const rows = pulled.kind === 'page' ? pulled.rows : []
    const values = rows.map(({ state }) =>
      Object.fromEntries(Object.entries(state.registers).map(([f, [v]]) => [f, v])),
    )
    const nothing = { n: null, b: null, j: null, t: null, a: null, '__odd key': null }
    const first = { n: 12.5, b: true, j: { x: [1, null] }, t: '2026-03-01T12:00:00.5+00:00', a: [1, null] }
    expect(values).toEqual([{ ...first, '__odd key': 'o\'dd \\ "text"' }, nothing])
  })

  test('about whom a row is, is known to erasure', async () => {
    const { tasks, query, sync, device } = await stand(opened, { subject: 'person:{other}' })
    await query(`insert into ${tasks} values ('t1', '1', 'Call', null, null, 7), ('t2', '1', 'Call', null, null, 8)`)
    expect(await sync.eraseSubject('acme/team:1', 'person:7')).toMatchObject({ records: 1 })
    await query(`update ${tasks} set done = true`)
    await device.pull()
    expect([...device.records.values()].map(({ id }) => id)).toEqual(['t2'])
  })

  test('what is misspelt fails when the trigger is made', async () => {
    const { schema, query } = opened
    await query(`create table ${schema}.plain (id int primary key)`)
    const o = { schema, table: `${schema}.plain`, id: 'id', c: 'task', scope: 'acme', columns: ['id'] }
    for (const wrong of [{ id: 'di' }, { columns: ['title'] }, { scope: 'acme/{tem}' }, { subject: '{who}' }]) {
      await expect(query(triggerSql({ ...o, ...wrong }))).rejects.toThrow(/does not exist/)
    }
    await query(triggerSql(o))
  })
})

test('many rows are one statement: COPY, updates of all, moves and deletes', async () => {
  await using opened = await openPostgres()
  const { tasks, query, device, versions } = await stand(opened)
  const rows = 1_300
  const lines = Array.from({ length: rows }, (_, i) => `t${String(i + 1).padStart(4, '0')},1,Task\n`)
  const client = await opened.pool.connect()
  await copy(client, `copy ${tasks} (id, team, ${TITLE}) from stdin with (format csv)`, lines.join(''))
  client.release()
  await device.pull()
  expect([device.records.size, await versions()]).toEqual([rows, 1])
  await query(`update ${tasks} set ${TITLE} = 'All', done = true`)
  await query(`update ${tasks} set team = '2' where id <= 't0500'`)
  await query(`update ${tasks} set id = 'n' || id where id > 't1000'`)
  await query(`delete from ${tasks} where id like '%0'`)
  await query(`insert into ${tasks} select id, team, 'Upsert', done from ${tasks} union all select 'u' || n, '1', 'New', true
    from generate_series(1, 300) n on conflict (id) do update set ${TITLE} = excluded.${TITLE}`)
  await device.pull()
  const { rows: held } = await query(`select id, jsonb_build_object('team', team, 'title', ${TITLE}, 'done', done,
    'budget', budget) as doc from ${tasks} order by id collate "C"`)
  const seen = [...device.records.values()].map(({ id, doc }) => ({ id, doc }))
  expect(seen.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(held)
  expect(held).toHaveLength(1_170 + 300)
})

/** COPY FROM STDIN, of which pg itself knows only how to refuse it. */
function copy(client: pg.PoolClient, text: string, lines: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query({
      submit: (connection: { query(text: string): void }) => connection.query(text),
      handleCopyInResponse(connection: { sendCopyFromChunk(bytes: Buffer): void; endCopyFrom(): void }) {
        connection.sendCopyFromChunk(Buffer.from(lines))
        connection.endCopyFrom()
      },
      handleCommandComplete() {},
      handleReadyForQuery: () => resolve(),
      handleError: reject,
    } as never)
  })
}

test(
  'with pushes from elsewhere at the same time: rows, records and devices are the same in the end',
  {
    timeout: 180_000,
  },
  async () => {
    await using server = await startPostgres({ settings: { deadlock_timeout: '20ms' } })
    await using opened = await openPostgres(server.url)
    const { tasks, query, sync, device } = await stand(opened)
    const ids = Array.from({ length: 6 }, (_, i) => `t${i}`)
    await query(`insert into ${tasks} select id, '1', 'Begin', false from unnest($1::text[]) as g(id)`, [ids])
    await device.pull()
    const any = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!
    let [applied, changed] = [0, 0]
    /** It ends one of two, who comes again; a push does that by itself. */
    const isDeadlock = (error: unknown): undefined => {
      expect(error).toMatchObject({ code: '40P01' })
    }
    async function pushes(client: string): Promise<void> {
      const one = openDevice(sync, ann, client)
      for (let i = 0; i < 40; i++) {
        const set = any([{ title: `${client} ${i}` }, { done: i % 2 === 0 }, { team: any(['1', '2']) }])
        const ops = [...new Set([any(ids), any(ids)])].map((id) => one.op(id, 'patch', { set }))
        for (;;) {
          const results = await one.push(...ops)
          if (results.some(({ status }) => status === 'retry')) continue
          applied += results.filter(({ status }) => status === 'applied').length
          break
        }
      }
    }
    async function foreign(name: string): Promise<void> {
      const client = await opened.pool.connect()
      for (let i = 0; i < 40; i++) {
        const set = any([
          `${TITLE} = '${name} ${i}'`,
          `done = not done`,
          `team = '${any(['1', '2'])}'`,
          `budget = ${i}`,
        ])
        const some = [any(ids), any(ids), any(ids)]
        const text = `update ${tasks} set ${set} where id in (select id from ${tasks} where id = any($1) order by id for update)`
        for (;;) {
          const done = await client.query(text, [some]).catch(isDeadlock)
          if (done === undefined) continue
          changed += done.rowCount ?? 0
          break
        }
      }
      client.release()
    }
    await Promise.all([pushes('p1'), pushes('p2'), foreign('f1'), foreign('f2')])
    expect(applied).toBeGreaterThan(0)
    expect(changed).toBeGreaterThan(0)
    await device.pull()
    const { rows: held } = await query(`select id, jsonb_build_object('team', team, 'title', ${TITLE}, 'done', done,
    'budget', budget) as doc from ${tasks} order by id`)
    const seen = [...device.records.values()].map(({ id, doc }) => ({ id, doc }))
    expect(seen.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(held)
  },
)

test('wrong options are refused by name', () => {
  const o: TriggerOptions = { table: 'tasks', id: 'id', c: 'task', scope: 'acme/team:{team}', columns: ['title'] }
  expect(triggerSql(o)).toContain('on "tasks" referencing')
  const refused = [
    [{ table: '' }, 'table'],
    [{ table: 'a.b.c' }, 'table'],
    [{ table: ['a', 'b', 'c'] }, 'table'],
    [{ id: 'x'.repeat(64) }, 'id'],
    [{ id: 'a\0' }, 'id'],
    [{ c: 'Task' }, 'c'],
    [{ scope: 'acme/{team' }, 'scope'],
    [{ scope: 'acme/{}' }, 'scope'],
    [{ scope: 'new\nline' }, 'scope'],
    [{ columns: [] }, 'columns'],
    [{ columns: ['a', 'a'] }, 'columns'],
    [{ columns: { a: 1 } }, 'columns'],
    [{ columns: JSON.parse('{ "__proto__": "a" }') as object }, 'columns'],
    [{ subject: '' }, 'subject'],
  ] as const
  for (const [wrong, name] of refused) {
    const make = (): string => triggerSql({ ...o, ...wrong } as TriggerOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    expect(make).toThrow(`triggerSql: "${name}" must be`)
  }
  expect(() => triggerSql({ ...o, schema: 'a b' })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  expect(() => triggerSql({ ...o, colums: 1 } as never)).toThrow(/unknown option "colums"/)
})
