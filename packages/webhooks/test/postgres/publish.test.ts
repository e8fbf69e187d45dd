import { afterAll, describe, expect, test } from 'vitest'
import { transact } from '@keelson/kernel/postgres'
import { openPostgres } from './open-postgres.ts'
import { anEvent, endpoint, routeAll } from './steps.ts'

const opened = await openPostgres()
const { pool, store, schema } = opened
afterAll(() => opened[Symbol.asyncDispose]())

const publishes = (event: ReturnType<typeof anEvent>) => ({
  kind: 'webhook.event',
  statements: () => store.publishStatements!([event]),
})

describe('an event of a transaction', () => {
  test('is gone when it rolls back', async () => {
    const event = anEvent('rolled back')
    await expect(
      transact(pool, async (tx) => {
        await store.publish([event], tx)
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect(await store.events.get(event.scope, event.id)).toBe(null)
    expect(await store.takeUnrouted(10, 1_000)).toEqual([])
  })

  test('is one statement, and locks no table that routers and dispatchers write', async () => {
    const statements = store.publishStatements!([anEvent('one statement'), anEvent('another', { key: 'k' })])
    expect(statements.length).toBe(1)
    const client = await pool.connect()
    try {
      await client.query('begin')
      await client.query(statements[0]!.text, statements[0]!.values as unknown[])
      const { rows } = await client.query(
        `select distinct c.relname from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and l.mode = 'RowExclusiveLock' and c.relkind = 'r'`,
      )
      expect(rows).toEqual([{ relname: 'webhook_event' }])
      await client.query('rollback')
    } finally {
      client.release()
    }
  })

  test('in conflict with a committed one is told to nobody, but counted', async () => {
    const event = anEvent('twice')
    await store.publish([event])
    const other = { ...event, digest: 'another' }
    await transact(pool, async () => ({ value: undefined, effects: [publishes(other), publishes(event)] }))
    expect((await store.inspect()).conflicts).toBe(1)
    await store.sweep(100, { attemptsMs: 1e12, deliveriesMs: 1e12, eventsMs: 1e12, heldMs: 1e12 })
    expect((await store.inspect()).conflicts).toBe(1)
    expect((await pool.query(`select count(*)::int as n from ${schema}.webhook_conflict`)).rows).toEqual([{ n: 0 }])
    await routeAll(store)
  })

  test('that commits late is late, and neither skipped nor waited for', async () => {
    await endpoint(store, 'late')
    const late = await pool.connect()
    try {
      for (const first of ['open', 'closed']) {
        const [slow, quick] = [
          anEvent(`slow ${first}`, { scope: 'late' }),
          anEvent(`quick ${first}`, { scope: 'late' }),
        ]
        await late.query('begin')
        if (first === 'open') await store.publish([slow], late)
        else await late.query('select pg_current_xact_id()')
        await store.publish([quick])
        expect(await routeAll(store)).toEqual([quick.id])
        if (first === 'closed') await store.publish([slow], late)
        expect(await routeAll(store)).toEqual([])
        await late.query('commit')
        expect(await routeAll(store)).toEqual([slow.id])
      }
    } finally {
      late.release()
    }
  })

  test('one of two that publish one id at once is a duplicate', async () => {
    const event = anEvent('at once')
    const kinds = await Promise.all(
      Array.from({ length: 8 }, () => transact(pool, async (tx) => ({ value: await store.publish([event], tx) }))),
    )
    expect(kinds.flat().toSorted()).toEqual([...Array(7).fill('duplicate'), 'fresh'])
  })
})
