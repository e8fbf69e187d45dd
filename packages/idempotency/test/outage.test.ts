import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { context } from '@keelson/kernel'
import {
  createIdempotency,
  reply,
  unwrap,
  type Call,
  type Outcome,
  type TransactionalIdempotency,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { awakeMs } from '../../../tools/awake-clock.ts'
import { startFaultProxy, type FaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { startPgbouncer } from '../../../tools/servers/pgbouncer.ts'
import { startPostgres, type PostgresServer } from '../../../tools/servers/postgres.ts'
import { until } from '../../../tools/servers/until.ts'
import { openOrders, type Orders } from './orders.ts'

const STORE_TIMEOUT_MS = 250
/** The promise is storeTimeout and 50 ms; the rest is for a process that does other things too. */
const IN_TIME_MS = 4 * STORE_TIMEOUT_MS

let server: PostgresServer
let proxy: FaultProxy
let orders: Orders
/** For what must work: a machine that stands still is no outage. */
let patient: TransactionalIdempotency
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

beforeAll(async () => {
  server = await startPostgres()
  proxy = await startFaultProxy({ host: server.host, port: server.port })
  const pool = new pg.Pool({ connectionString: server.url.replace(String(server.port), String(proxy.port)), max: 4 })
  pool.on('error', () => {})
  orders = await openOrders(pool, 'outage', { storeTimeout: STORE_TIMEOUT_MS })
  patient = orders.another({ storeTimeout: '30s' })
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
  const startMs = awakeMs()
  return { value: await promise, tookMs: awakeMs() - startMs }
}

/** Calls until one is run: the guard lets one through as soon as its probe was answered. */
async function recovered(): Promise<Outcome<unknown>> {
  for (;;) {
    const outcome = await orders.idempotency.transaction(callOf(), orders.place)
    if (outcome.ok) return outcome
    await sleep(20)
  }
}

const outages: [string, () => void][] = [
  ['frozen', () => server.freeze()],
  ['mute', () => proxy.freeze()],
  ['refused', () => proxy.refuse()],
  ['slower than its deadline', () => proxy.delay(10_000)],
  ['killed', () => server.kill()],
]

test.each(outages)('a server that is %s: answered in time, then at once, and back by itself', async (name, fail) => {
  fail()
  const first = await timed(orders.idempotency.transaction(callOf(), orders.place))
  expect(first.value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE', retryable: true })
  expect(first.tookMs).toBeLessThan(IN_TIME_MS)

  // The guard is open: nothing is asked, so there is nothing to wait for.
  const next = await timed(
    Promise.all(Array.from({ length: 10 }, () => orders.idempotency.transaction(callOf(), orders.place))),
  )
  expect(next.value.map(refusalOf)).toEqual(Array(10).fill('STORE_UNAVAILABLE: open'))
  expect(next.tookMs).toBeLessThan(IN_TIME_MS)

  server.thaw()
  if (name === 'killed') await server.restart()
  proxy.pass()
  expect(await recovered()).toMatchObject({ ok: true, kind: 'executed' })
})

/** By which code, and why the guard said no. */
function refusalOf(outcome: Outcome<unknown>): string {
  if (outcome.ok) return outcome.kind
  const { code, cause } = outcome.error()
  return `${code}: ${String((cause as { details?: { reason?: unknown } }).details?.reason)}`
}

test('a frozen server is noticed within storeTimeout and 50 ms', async () => {
  let bestMs = Infinity
  // The best of many rounds, until one is: noise only adds. What took longer would do so in each of them.
  for (let round = 0; round < 20 && bestMs >= STORE_TIMEOUT_MS + 50; round++) {
    server.freeze()
    const { tookMs } = await timed(orders.idempotency.transaction(callOf(), orders.place))
    bestMs = Math.min(bestMs, tookMs)
    server.thaw()
    await recovered()
  }
  expect(bestMs).toBeLessThan(STORE_TIMEOUT_MS + 50)
})

test('a frozen server does not empty the pool', async () => {
  server.freeze()
  await Promise.all(Array.from({ length: 12 }, () => orders.idempotency.transaction(callOf(), orders.place)))
  server.thaw()
  await recovered()
  const after = await Promise.all(Array.from({ length: 12 }, () => patient.transaction(callOf(), orders.place)))
  expect(after.every((outcome) => outcome.ok)).toBe(true)
})

test('connections that silently lost their server are replaced, not handed out again', async () => {
  await Promise.all(Array.from({ length: 4 }, () => patient.transaction(callOf(), orders.place)))
  // The connections there are never hear from the server again; new ones work.
  proxy.halfOpen()
  await recovered()
  // Time enough to open connections on a busy machine; one that is lost would take all of it.
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
  expect(await patient.transaction(call, orders.place)).toMatchObject({ ok: true, kind: 'executed' })
  expect(orders.runs()).toBe(runs + 1)
})

test('a busy key is not a dead store: its duplicate waits, others go on', async () => {
  const call = callOf()
  const other = orders.another({ storeTimeout: '10s' })
  const started = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const first = patient.transaction(call, async (tx, operation) => {
    started.resolve()
    await go.promise
    return orders.place(tx, operation)
  })
  await started.promise
  expect(await other.transaction({ ...call, wait: '2500ms' }, orders.place)).toMatchObject({ code: 'KEY_IN_USE' })
  expect(await other.transaction(callOf(), orders.place)).toMatchObject({ ok: true })
  const waiting = other.transaction(call, orders.place)
  go.resolve()
  expect(unwrap(await waiting)).toEqual(unwrap(await first))
})

const CLAIM_WAIT_MS = 200

test("the claim's lock time-out is not the work's: a statement may wait longer for a row of its own", async () => {
  const pool = orders.db as pg.Pool
  const { rows } = await pool.query(`insert into outage.orders(sku) values ('held') returning id`)
  const id = (rows[0] as { id: number }).id
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select 1 from outage.orders where id = $1 for update', [id])
  const updating = Promise.withResolvers<void>()
  const writing = patient.transaction(callOf({ wait: CLAIM_WAIT_MS }), async (tx) => {
    const update = tx.query(`update outage.orders set sku = 'mine' where id = $1`, [id])
    updating.resolve()
    await update
    return reply(200, 'ok')
  })
  await updating.promise
  await sleep(2 * CLAIM_WAIT_MS)
  await holder.query('commit')
  holder.release()
  expect(await writing).toMatchObject({ ok: true, kind: 'executed' })
})

test("a lock that the work could not have is the work's error, not a busy key", async () => {
  const pool = orders.db as pg.Pool
  const holder = await pool.connect()
  await holder.query('begin; lock table outage.outbox in access exclusive mode')
  const failing = patient.transaction(callOf(), async (tx) => {
    await tx.query('lock table outage.outbox in access exclusive mode nowait')
    return reply(200, 'ok')
  })
  await expect(failing).rejects.toMatchObject({ code: '55P03' })
  await holder.query('rollback')
  holder.release()
})

test('waits across processes block at most so many connections', async () => {
  const other = orders.another({ storeTimeout: '10s', maxWaiters: { connections: 1 } })
  const held = [callOf(), callOf()]
  const go = Promise.withResolvers<void>()
  const started = held.map(() => Promise.withResolvers<void>())
  const owners = held.map((call, i) =>
    patient.transaction(call, async (tx, operation) => {
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
  const outcome = await patient.transaction(call, orders.place)
  await lost
  expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true })
  expect(orders.runs()).toBe(runs + 1)
  const again = await patient.transaction(call, orders.place)
  expect(unwrap(again)).toEqual(unwrap(outcome))
  const after = await orders.count()
  expect([after.orders - before.orders, after.outbox - before.outbox, after.records - before.records]).toEqual([
    1, 1, 1,
  ])
})

test('an answer that is too large to keep goes out once, also when the reply to its COMMIT is lost', async () => {
  const small = orders.another({ maxStoredBytes: 100, storeTimeout: '30s' })
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

test("the session's own lock_timeout counts for the effects of a 4xx", async () => {
  const pool = new pg.Pool({ connectionString: server.url, options: '-c lock_timeout=4321' })
  const other = await openOrders(pool, 'outage')
  await pool.query('create table outage.lock_timeouts (setting text)')
  const noted = {
    kind: 'test.lock-timeout',
    statements: () => [{ text: "insert into outage.lock_timeouts select current_setting('lock_timeout')" }],
  }
  unwrap(await other.idempotency.transaction(callOf(), async () => reply(404, 'none', [noted])))
  expect((await pool.query('select setting from outage.lock_timeouts')).rows).toEqual([{ setting: '4321ms' }])
  await other.close()
})

/** Another instance, on a pool whose queries may take so long. */
function hasty(queryTimeoutMs: number): { idempotency: TransactionalIdempotency; pool: pg.Pool } {
  const pool = new pg.Pool({ connectionString: server.url, query_timeout: queryTimeoutMs })
  pool.on('error', () => {})
  const store = postgresStore(pool, { schema: 'outage' })
  return { pool, idempotency: createIdempotency({ store, storeTimeout: '30s' }) }
}

test('a query_timeout of the pool is a store that does not answer', async () => {
  const { idempotency, pool } = hasty(100)
  ;(await pool.connect()).release() // a frozen server accepts nobody
  server.freeze()
  const { value, tookMs } = await timed(idempotency.transaction(callOf(), orders.place))
  server.thaw()
  expect(value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  // Far less than storeTimeout.
  expect(tookMs).toBeLessThan(10_000)
  await idempotency.close()
  await pool.end()
})

test('a statement that timed out in the driver cannot be swallowed: it may still run', async () => {
  const { idempotency, pool } = hasty(1_000)
  const before = await orders.count()
  const outcome = await idempotency.transaction(callOf(), async (tx) => {
    await tx.query("insert into outage.orders (sku) select 'late' from pg_sleep(2)").catch(() => {})
    return reply(201, 'as if')
  })
  expect(outcome).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
  await until('the statement has ended', 60_000, async () => {
    const { rows } = await (orders.db as pg.Pool).query(
      "select 1 from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()",
    )
    return rows.length === 0 || undefined
  })
  expect(await orders.count()).toEqual(before)
  await idempotency.close()
  await pool.end()
})

test('a COMMIT that never arrived is found missing, and the work runs again', async () => {
  const before = await orders.count()
  const runs = orders.runs()
  const outcome = await patient.transaction(callOf(), async (tx, operation) => {
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
  await Promise.all([1, 2, 3, 4].map(() => patient.transaction(callOf(), orders.place)))
  proxy.resetCount()
  await patient.transaction(call, orders.place)
  expect(proxy.roundTrips).toBe(3)
  proxy.resetCount()
  await patient.transaction(call, orders.place)
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
