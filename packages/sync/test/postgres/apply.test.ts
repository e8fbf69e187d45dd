import { expect, test } from 'vitest'
import type { Effect, Tx } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import type { Win } from '@keelson/sync'
import { ann, openDevice, openSync } from '../open-sync.ts'
import { openPostgres } from './open-postgres.ts'

const task = { team: '1', title: 'Call', done: false }

/** A server over a table of tasks, whose titles are unique, and a log of effects. */
async function stand() {
  const opened = await openPostgres()
  const { schema, query, store } = opened
  await query(`create table ${schema}.tasks (id text primary key, title text unique, done boolean not null)`)
  await query(`create table ${schema}.log (id text)`)
  let calls = 0
  async function apply(tx: Tx | undefined, wins: readonly Win[]): Promise<readonly Effect[]> {
    calls++
    for (const { id, after } of wins) {
      if (after === undefined) await tx!.query(`delete from ${schema}.tasks where id = $1`, [id])
      else {
        await tx!.query(
          `insert into ${schema}.tasks values ($1, $2, $3) on conflict (id) do update set title = $2, done = $3`,
          [id, after['title'], after['done']],
        )
      }
    }
    return wins.map(({ id }) => ({
      kind: 'test.log',
      statements: () => [{ text: `insert into ${schema}.log values ($1)`, values: [id] }],
    }))
  }
  const rows = async (table: string): Promise<unknown[]> =>
    (await query(`select id from ${schema}.${table} order by id`)).rows.map((row: { id: string }) => row.id)
  const sync = openSync({ store, task: { apply } })
  return { ...opened, sync, rows, calls: () => calls, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
}

test('what breaks a constraint is a conflict of its own; the others, their rows and their effects commit', async () => {
  await using all = await stand()
  const { sync, rows } = all
  const device = openDevice(sync, ann, 'd1')
  const ops = Array.from({ length: 20 }, (_, i) => {
    const title = i === 7 || i === 13 ? 'task 3' : `task ${i}`
    return device.op(`t${String(i).padStart(2, '0')}`, 'put', { set: { ...task, title } })
  })
  const results = await device.push(...ops)
  const lost = results.filter(({ status }) => status !== 'applied').map(({ op, status, code }) => [op, status, code])
  expect(lost).toEqual([ops[7]!, ops[13]!].map(({ op }) => [op, 'conflict', 'invariant']))
  const left = ops.filter((_, i) => i !== 7 && i !== 13).map(({ id }) => id)
  expect([await rows('tasks'), await rows('log')]).toEqual([left, left])
  await device.pull()
  expect([...device.records.values()].map(({ id }) => id).toSorted()).toEqual(left)
  expect((await sync.conflicts.list(ann)).items.map(({ record }) => record)).toEqual(['t07', 't13'])
  // By halves, not one by one.
  expect(all.calls()).toBeLessThan(16)
})

test('a push in a transaction of the caller is part of it', async () => {
  await using all = await stand()
  const { sync, rows, db } = all
  const device = openDevice(sync, ann, 'd1')
  const request = { v: 1 as const, client: 'd1', ops: [device.op('t1', 'put', { set: task })] }
  const rolledBack = transact(db, async (tx) => {
    await sync.push(ann, request, { tx })
    throw new Error('no')
  })
  await expect(rolledBack).rejects.toThrow('no')
  expect([await rows('tasks'), await rows('log')]).toEqual([[], []])
  await transact(db, async (tx) => ({ value: await sync.push(ann, request, { tx }), effects: [] }))
  expect([await rows('tasks'), await rows('log')]).toEqual([['t1'], ['t1']])
  expect((await sync.push(ann, request)).results).toMatchObject([{ status: 'applied', replay: true }])
})

test('changes of the server commit with the rows of their transaction, or not at all', async () => {
  await using all = await stand()
  const { sync, db, query, schema } = all
  const device = openDevice(sync, ann, 'd1')
  const change = (id: string) =>
    sync.change('task', { t: 'put', id, set: { ...task, title: id } }, { scope: 'acme/team:1' })
  const failing = transact(db, async () => ({
    value: undefined,
    effects: [change('t1'), { kind: 'bad', statements: () => [{ text: `insert into ${schema}.nothing values (1)` }] }],
  }))
  await expect(failing).rejects.toThrow()
  await device.pull()
  expect(device.records.size).toBe(0)
  await transact(db, async (tx) => {
    await tx.query(`insert into ${schema}.log values ('business')`)
    return { value: undefined, effects: [change('t1'), change('t2')] }
  })
  await device.pull()
  expect([...device.records.values()].map(({ id }) => id).toSorted()).toEqual(['t1', 't2'])
  // Of one transaction, so of one version.
  expect((await query(`select count(distinct tx)::int as n from ${schema}.sync_record`)).rows).toEqual([{ n: 1 }])
})
