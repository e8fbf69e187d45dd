import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { context } from '@keelson/kernel'
import { reply, unwrap, type Call } from '@keelson/idempotency'
import { startFaultProxy, type FaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { startPgbouncer } from '../../../tools/servers/pgbouncer.ts'
import { startPostgres, type PostgresServer } from '../../../tools/servers/postgres.ts'
import { openOrders, type Orders } from './orders.ts'

/** Over `storeTimeout`, for a machine that is busy with other tests. */
const SLACK_MS = 250
const STORE_TIMEOUT_MS = 250

let server: PostgresServer
let proxy: FaultProxy
let orders: Orders
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

beforeAll(async () => {
  server = await startPostgres()
  proxy = await startFaultProxy({ host: server.host, port: server.port })
  const pool = new pg.Pool({ connectionString: server.url.replace(String(server.port), String(proxy.port)), max: 4 })
  pool.on('error', () => {})
  orders = await openOrders(pool, 'outage', { storeTimeout: STORE_TIMEOUT_MS })
})
beforeEach(async () => {
  proxy.pass()
  await recovered()
})
afterAll(async () => {
  await orders.close()
  await proxy.close()
  await server.stop()
  expect(unhandled).toEqual([])
})

let keys = 0
const callOf = (more: Partial<Call> = {}): Call => ({ scope: 'm1', op: 'POST /orders', key: `key-${keys++}`, ...more })

async function timed<T>(promise: Promise<T>): Promise<{ value: T; tookMs: number }> {
  const startMs = performance.now()
  return { value: await promise, tookMs: performance.now() - startMs }
}

/** Calls until one is run: the guard lets one through as soon as its probe was answered. */
async function recovered(): Promise<void> {
  for (;;) {
    const outcome = await orders.idempotency.transaction(callOf(), orders.place)
    if (outcome.ok) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const outages: [string, () => void][] = [
  ['frozen', () => server.freeze()],
  ['mute', () => proxy.freeze()],
  ['refused', () => proxy.refuse()],
  ['slower than its deadline', () => proxy.delay(400)],
  ['killed', () => server.kill()],
]

test.each(outages)('a server that is %s: answered in time, then at once, and back by itself', async (name, fail) => {
  fail()
  const first = await timed(orders.idempotency.transaction(callOf(), orders.place))
  expect(first.value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE', retryable: true })
  expect(first.tookMs).toBeLessThan(STORE_TIMEOUT_MS + SLACK_MS)

  // Far fewer than what ten time-outs would take: the guard is open.
  const next = await timed(
    Promise.all(Array.from({ length: 10 }, () => orders.idempotency.transaction(callOf(), orders.place))),
  )
  expect(next.value.map((outcome) => !outcome.ok && outcome.code)).toEqual(Array(10).fill('STORE_UNAVAILABLE'))
  expect(next.tookMs).toBeLessThan(STORE_TIMEOUT_MS)

  server.thaw()
  if (name === 'killed') await server.restart()
  proxy.pass()
  await recovered()
  const call = callOf()
  expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({ ok: true, kind: 'executed' })
})

test('a frozen server is noticed within storeTimeout and 50 ms', async () => {
  const tookMs: number[] = []
  for (let round = 0; round < 3; round++) {
    server.freeze()
    tookMs.push((await timed(orders.idempotency.transaction(callOf(), orders.place))).tookMs)
    server.thaw()
    await recovered()
  }
  // The best of three: noise only adds.
  expect(Math.min(...tookMs)).toBeLessThan(STORE_TIMEOUT_MS + 50)
})

test('a frozen server does not empty the pool', async () => {
  server.freeze()
  await Promise.all(Array.from({ length: 12 }, () => orders.idempotency.transaction(callOf(), orders.place)))
  server.thaw()
  await recovered()
  const after = await Promise.all(
    Array.from({ length: 12 }, () => orders.idempotency.transaction(callOf(), orders.place)),
  )
  expect(after.every((outcome) => outcome.ok)).toBe(true)
})

test('connections that silently lost their server are replaced, not handed out again', async () => {
  await Promise.all(Array.from({ length: 4 }, () => orders.idempotency.transaction(callOf(), orders.place)))
  // The connections there are never hear from the server again; new ones work.
  proxy.halfOpen()
  await recovered()
  // Time enough to open connections on a busy machine; one that is lost would take all of it.
  const patient = orders.another({ storeTimeout: '10s' })
  const after = await Promise.all(Array.from({ length: 8 }, () => patient.transaction(callOf(), orders.place)))
  expect(after.every((outcome) => outcome.ok)).toBe(true)
})

test('a claim that is won after its caller was told no does not run', async () => {
  const runs = orders.runs()
  const call = callOf()
  proxy.delay(60)
  const deadline = performance.now() + 50
  const outcome = await context.run({ deadline }, () => orders.idempotency.transaction(call, orders.place))
  expect(outcome).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  proxy.pass()
  // The late claim is given back: the key is free for a clean first run.
  expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({ ok: true, kind: 'executed' })
  expect(orders.runs()).toBe(runs + 1)
})

test('a busy key is not a dead store: its duplicate waits, others go on', async () => {
  const call = callOf()
  const other = orders.another({ storeTimeout: '1s' })
  const started = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const first = orders.idempotency.transaction(call, async (tx, operation) => {
    started.resolve()
    await go.promise
    return orders.place(tx, operation)
  })
  await started.promise
  expect(await other.transaction({ ...call, wait: '600ms' }, orders.place)).toMatchObject({ code: 'KEY_IN_USE' })
  expect(await other.transaction(callOf(), orders.place)).toMatchObject({ ok: true })
  const waiting = other.transaction(call, orders.place)
  go.resolve()
  expect(unwrap(await waiting)).toEqual(unwrap(await first))
})

test("the claim's lock time-out is not the work's: a statement may wait longer for a row of its own", async () => {
  const pool = orders.db as pg.Pool
  const { rows } = await pool.query(`insert into outage.orders(sku) values ('held') returning id`)
  const id = (rows[0] as { id: number }).id
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select 1 from outage.orders where id = $1 for update', [id])
  const writing = orders.idempotency.transaction(callOf(), async (tx) => {
    await tx.query(`update outage.orders set sku = 'mine' where id = $1`, [id])
    return reply(200, 'ok')
  })
  // Longer than the first slice of a claim's wait.
  await new Promise((resolve) => setTimeout(resolve, STORE_TIMEOUT_MS))
  await holder.query('commit')
  holder.release()
  expect(await writing).toMatchObject({ ok: true, kind: 'executed' })
})

test("a lock that the work could not have is the work's error, not a busy key", async () => {
  const pool = orders.db as pg.Pool
  const holder = await pool.connect()
  await holder.query('begin; lock table outage.outbox in access exclusive mode')
  const failing = orders.idempotency.transaction(callOf(), async (tx) => {
    await tx.query('lock table outage.outbox in access exclusive mode nowait')
    return reply(200, 'ok')
  })
  await expect(failing).rejects.toMatchObject({ code: '55P03' })
  await holder.query('rollback')
  holder.release()
})

test('waits across processes block at most so many connections', async () => {
  const other = orders.another({ storeTimeout: '1s', maxWaiters: { connections: 1 } })
  const held = [callOf(), callOf()]
  const go = Promise.withResolvers<void>()
  const started = held.map(() => Promise.withResolvers<void>())
  const owners = held.map((call, i) =>
    orders.idempotency.transaction(call, async (tx, operation) => {
      started[i]!.resolve()
      await go.promise
      return orders.place(tx, operation)
    }),
  )
  await Promise.all(started.map(({ promise }) => promise))
  const waiters = held.map((call) => other.transaction(call, orders.place))
  const refusal = await Promise.race(waiters)
  expect(refusal).toMatchObject({ ok: false, code: 'TOO_MANY_WAITERS' })
  go.resolve()
  await Promise.all(owners)
  const codes = (await Promise.all(waiters)).map((outcome) => (outcome.ok ? outcome.kind : outcome.code))
  expect(codes.toSorted()).toEqual(['TOO_MANY_WAITERS', 'replayed'])
})

test('a COMMIT whose reply is lost is resolved by claiming again: one run, its own answer', async () => {
  const before = await orders.count()
  const runs = orders.runs()
  const call = callOf()
  const lost = proxy.loseReplyAfter((bytes) => bytes.includes('COMMIT'))
  const outcome = await orders.idempotency.transaction(call, orders.place)
  await lost
  expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true })
  expect(orders.runs()).toBe(runs + 1)
  const again = await orders.idempotency.transaction(call, orders.place)
  expect(unwrap(again)).toEqual(unwrap(outcome))
  const after = await orders.count()
  expect([after.orders - before.orders, after.outbox - before.outbox, after.records - before.records]).toEqual([
    1, 1, 1,
  ])
})

test('an answer that is too large to keep goes out once, also when the reply to its COMMIT is lost', async () => {
  const small = orders.another({ maxStoredBytes: 100, storeTimeout: STORE_TIMEOUT_MS })
  const call = callOf()
  const lost = proxy.loseReplyAfter((bytes) => bytes.includes('COMMIT'))
  const outcome = await small.transaction(call, async () => reply(200, 'x'.repeat(500)))
  await lost
  expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: false })
  expect(await small.transaction(call, orders.place)).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
})

test("the session's own lock_timeout counts inside the work", async () => {
  const pool = new pg.Pool({ connectionString: server.url, options: '-c lock_timeout=4321' })
  const other = await openOrders(pool, 'outage')
  const outcome = await other.idempotency.transaction(callOf(), async (tx) => {
    const { rows } = await tx.query("select current_setting('lock_timeout') as setting")
    return reply(200, (rows[0] as { setting: string }).setting)
  })
  expect(Buffer.from(unwrap(outcome).body).toString()).toBe('4321ms')
  await other.close()
})

test('a query_timeout of the pool is a store that does not answer', async () => {
  const pool = new pg.Pool({ connectionString: server.url, query_timeout: 100 })
  pool.on('error', () => {})
  const other = await openOrders(pool, 'outage')
  server.freeze()
  const outcome = await other.idempotency.transaction(callOf(), other.place)
  server.thaw()
  expect(outcome).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  await other.close()
})

test('a statement that timed out in the driver cannot be swallowed: it may still run', async () => {
  const pool = new pg.Pool({ connectionString: server.url, query_timeout: 200 })
  pool.on('error', () => {})
  const other = await openOrders(pool, 'outage')
  const before = await orders.count()
  const outcome = await other.idempotency.transaction(callOf(), async (tx) => {
    await tx.query("insert into outage.orders (sku) select 'late' from pg_sleep(0.4)").catch(() => {})
    return reply(201, 'as if')
  })
  expect(outcome).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  await orders.idempotency.transaction(callOf(), async (tx) => {
    await tx.query('select pg_sleep(0.4)')
    return reply(500)
  })
  expect(await orders.count()).toEqual(before)
  await other.close()
})

test('a COMMIT that never arrived is found missing, and the work runs again', async () => {
  const before = await orders.count()
  const runs = orders.runs()
  const outcome = await orders.idempotency.transaction(callOf(), async (tx, operation) => {
    const reply = await orders.place(tx, operation)
    // The connection dies under the closing flight, before this process can notice.
    if (orders.runs() === runs + 1) {
      proxy.refuse()
      queueMicrotask(() => proxy.pass())
    }
    return reply
  })
  expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true })
  expect(orders.runs()).toBe(runs + 2)
  const after = await orders.count()
  expect([after.orders - before.orders, after.outbox - before.outbox, after.records - before.records]).toEqual([
    1, 1, 1,
  ])
})

test("round trips: the work's own statements and two; a replay one", async () => {
  const call = callOf()
  await Promise.all([1, 2, 3, 4].map(() => orders.idempotency.transaction(callOf(), orders.place)))
  proxy.resetCount()
  await orders.idempotency.transaction(call, orders.place)
  expect(proxy.roundTrips).toBe(3)
  proxy.resetCount()
  await orders.idempotency.transaction(call, orders.place)
  // The answer has left; the ROLLBACK behind it has not reached the proxy yet.
  expect(proxy.roundTrips).toBe(1)
})

test('pgbouncer in transaction mode', async () => {
  const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
  await using bouncer = await startPgbouncer({
    host: hostname,
    port: Number(port),
    user: username,
    database: pathname.slice(1),
  })
  const pool = new pg.Pool({ connectionString: bouncer.url, max: 20 })
  const bounced = await openOrders(pool, 'idempotency_bounced')
  const call = callOf()
  const outcomes = await Promise.all([
    ...Array.from({ length: 20 }, () => bounced.idempotency.transaction(call, bounced.place)),
    ...Array.from({ length: 20 }, () => bounced.another().transaction(callOf(), bounced.place)),
  ])
  expect(outcomes.every((outcome) => outcome.ok)).toBe(true)
  expect(await bounced.count()).toEqual({ orders: 21, outbox: 21, records: 21 })
  await bounced.close()
})
