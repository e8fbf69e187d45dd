import { expect, test } from 'vitest'
import { openPostgres } from './open-postgres.ts'
import { anEvent, endpoint, RULES, routeAll, success } from './steps.ts'

test('what was planned for empty tables stays right as they fill: the work of a delivery does not grow', async () => {
  await using opened = await openPostgres()
  const { pool, store, schema } = opened
  for (let i = 0; i < 10; i++) await endpoint(store, 'a', `ep_${i}`, { ...RULES, concurrency: 50 })

  /** Ten deliveries of each of `events`, by connections that have planned all of it before. */
  const deliver = async (events: number): Promise<void> => {
    for (let left = events; left > 0; left -= 50) {
      await store.publish(Array.from({ length: Math.min(left, 50) }, () => anEvent()))
      await routeAll(store)
    }
    for (let left = events * 10; left > 0;) {
      const claims = await store.claim({ limit: 64, owner: 'n', suspects: true, handlers: [] })
      await store.settle(claims.map(success))
      left -= claims.length
    }
  }
  /** Index entries of deliveries that were read so far. */
  const read = async (): Promise<number> => {
    await pool.query('select pg_stat_force_next_flush()')
    const { rows } = await pool.query<{ n: number }>(
      `select sum(idx_tup_read)::int as n from pg_stat_user_indexes
       where schemaname = $1 and relname = 'webhook_delivery'`,
      [schema],
    )
    return rows[0]!.n
  }
  await deliver(10)
  const before = await read()
  await deliver(100)
  const each = ((await read()) - before) / 1_000
  expect(each).toBeLessThan(40)
})

test('a delivery that succeeds at once is written as it is routed and as it ends, in its place', async () => {
  await using opened = await openPostgres()
  const { pool, store, schema } = opened
  for (let i = 0; i < 10; i++) await endpoint(store, 'a', `ep_${i}`)
  for (let events = 0; events < 50; events += 10) {
    await store.publish(Array.from({ length: 10 }, () => anEvent()))
    await routeAll(store)
  }
  for (let left = 500; left > 0;) {
    const claims = await store.claim({ limit: 64, owner: 'n', suspects: true, handlers: [] })
    await store.settle(claims.map(success))
    left -= claims.length
  }
  await pool.query('select pg_stat_force_next_flush()')
  const { rows } = await pool.query<{ updates: number; inPlace: number }>(
    `select n_tup_upd::int as updates, n_tup_hot_upd::int as "inPlace" from pg_stat_user_tables
     where schemaname = $1 and relname = 'webhook_delivery'`,
    [schema],
  )
  expect(rows[0]!.updates).toBe(500)
  expect(rows[0]!.inPlace).toBeGreaterThan(450)
})

test('a claim that is lost with the server does not leave its fence to the next one', async () => {
  await using opened = await openPostgres()
  const { pool, store, schema } = opened
  await endpoint(store, 'a')
  await store.publish([anEvent()])
  await routeAll(store)
  const { rows } = await pool.query(`select lane, next_due, first_ms, first_seq from ${schema}.webhook_lane`)
  const claim = () => store.claim({ limit: 1, owner: 'n', suspects: true, handlers: [] })
  const [lost] = await claim()
  // What a claim writes, as it was before.
  await pool.query(`delete from ${schema}.webhook_lease`)
  await pool.query(
    `update ${schema}.webhook_lane l set in_flight = 0, next_due = o.next_due, first_ms = o.first_ms,
       first_seq = o.first_seq
     from json_to_record($1) as o(lane bigint, next_due float8, first_ms bigint, first_seq bigint)`,
    [rows[0]],
  )
  const [next] = await claim()
  expect(next!.token.delivery).toBe(lost!.token.delivery)
  expect(next!.token.fence).toBeGreaterThan(lost!.token.fence)
  expect(await store.settle([success(lost!)])).toEqual([{ kind: 'stale' }])
  expect(await store.settle([success(next!)])).toEqual([{ kind: 'ok', notices: [] }])
})
