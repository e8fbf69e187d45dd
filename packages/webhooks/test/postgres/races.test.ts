import type { EventEmitter } from 'node:events'
import { afterAll, expect, inject, test } from 'vitest'
import type { Tx } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import type { Audience, Claim, HandlerRow, Settlement } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import pg from 'pg'
import { startPgbouncer } from '../../../../tools/servers/pgbouncer.ts'
import { until } from '../../../../tools/servers/until.ts'
import { openPostgres, type OpenStore } from './open-postgres.ts'
import { anEvent, endpoint, routeAll, RULES, success } from './steps.ts'

const opened = await openPostgres(undefined, 20)
afterAll(() => opened[Symbol.asyncDispose]())

const EVENTS = 200
const KEYS = 5

/** Publishes, routes, claims, settles, reaps and slows on several nodes at once until all is done. */
async function storm(stores: readonly OpenStore['store'][], scope: string, doing: (fn: string) => void = () => {}) {
  for (const id of ['ep_1', 'ep_2', 'ep_3']) await endpoint(stores[0]!, scope, id, { ...RULES, leaseMs: 60_000 })
  let left = EVENTS
  const inFlight = new Map<string, number>()
  const started: string[] = []
  const ended = new Set<string>()
  const publish = async (store: OpenStore['store']) => {
    while (left-- > 0) await store.publish([anEvent(`${scope}_${left}`, { scope, key: `k${left % KEYS}` })])
  }
  const work = async (store: OpenStore['store']) => {
    for (let idle = 0; ended.size < EVENTS * 3 && idle < 2_000;) {
      doing('route')
      await routeAll(store)
      const claims = await store.claim({ limit: 10, owner: 'n', suspects: true, handlers: [] })
      idle = claims.length === 0 ? idle + 1 : 0
      for (const { token, event } of claims) {
        const lane = token.endpoint
        inFlight.set(lane, (inFlight.get(lane) ?? 0) + 1)
        expect(inFlight.get(lane), 'in flight of a lane').toBeLessThanOrEqual(RULES.concurrency)
        const line = `${token.endpoint} ${event.key}`
        expect(started, 'one of a key at a time').not.toContain(line)
        started.push(line)
      }
      await store.slow(claims.slice(0, 1).map(({ token }) => token))
      await store.reap(10)
      for (const { token, event } of claims) {
        inFlight.set(token.endpoint, inFlight.get(token.endpoint)! - 1)
        started.splice(started.indexOf(`${token.endpoint} ${event.key}`), 1)
      }
      const settled = await store.settle(claims.map(success))
      expect(settled.every(({ kind }) => kind === 'ok')).toBe(true)
      for (const { token } of claims) {
        expect(ended.has(token.delivery), 'each is attempted once').toBe(false)
        ended.add(token.delivery)
      }
    }
  }
  await Promise.all([...stores.map(publish), ...stores.flatMap((store) => [work(store), work(store)])])
  return ended.size
}

/** Counts those of our own connections: other files share the server, and some of them are about deadlocks. */
function watchDeadlocks(pool: pg.Pool): () => number {
  const watched = new WeakSet<pg.PoolClient>()
  let seen = 0
  pool.on('acquire', (client) => {
    if (watched.has(client)) return
    watched.add(client)
    // The store's own tries would hide them.
    const { connection } = client as unknown as { connection: EventEmitter }
    connection.on('errorMessage', ({ code }: { code: string }) => void (seen += code === '40P01' ? 1 : 0))
  })
  return () => seen
}

test('four nodes at once: each delivery once, a key in its order, no lane over its limit, no deadlock', async () => {
  const deadlocks = watchDeadlocks(opened.pool)
  const nodes = [
    opened.store,
    ...Array.from({ length: 3 }, () => postgresStore(opened.pool, { schema: opened.schema })),
  ]
  expect(await storm(nodes, 'storm')).toBe(EVENTS * 3)
  expect(deadlocks()).toBe(0)
  const { counts } = await opened.store.inspect()
  expect(counts).toMatchObject({ pending: 0, delivering: 0, unrouted: 0, dead: 0 })
  const lanes = await opened.store.endpoints.list('storm', { limit: 10 })
  expect(lanes.map(({ health }) => health.inFlight)).toEqual([0, 0, 0])
})

test('behind pgbouncer in transaction mode', async () => {
  const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
  const bouncer = await startPgbouncer({
    host: hostname,
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    database: pathname.slice(1),
  })
  const pool = new pg.Pool({ connectionString: bouncer.url, max: 20 })
  pool.on('error', () => {})
  try {
    expect(await storm([postgresStore(pool, { schema: opened.schema })], 'bounced')).toBe(EVENTS * 3)
  } finally {
    await pool.end()
    await bouncer.stop()
  }
})

test('a claim passes over a lane that somebody settles, and a settle waits for its lane', async () => {
  const { pool, schema, store } = opened
  await endpoint(store, 'locked', 'ep_a')
  await endpoint(store, 'locked', 'ep_b')
  await store.publish([anEvent('locked', { scope: 'locked' })])
  await routeAll(store)
  const client = await pool.connect()
  await client.query('begin')
  await client.query(`select 1 from ${schema}.webhook_endpoint e join ${schema}.webhook_lane l on l.lane = e.lane
    where e.scope = 'locked' and e.id = 'ep_a' for update of l`)
  const q = { limit: 10, owner: 'n', suspects: true, handlers: [] }
  const claims = await store.claim(q)
  expect(claims.map(({ token }) => token.endpoint)).toEqual(['ep_b'])
  await client.query('commit')
  const others = await store.claim(q)
  expect(others.map(({ token }) => token.endpoint)).toEqual(['ep_a'])

  await client.query('begin')
  await client.query(`select 1 from ${schema}.webhook_endpoint e join ${schema}.webhook_lane l on l.lane = e.lane
    where e.scope = 'locked' for update of l`)
  let done = false
  const settling = store.settle([...claims, ...others].map(success)).finally(() => (done = true))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(done).toBe(false)
  await client.query('commit')
  client.release()
  expect((await settling).map(({ kind }) => kind)).toEqual(['ok', 'ok'])
})

test('leases that are over are ended past a lane that somebody holds, which is waited for by nobody', async () => {
  await using old = await openPostgres()
  const { pool, schema, store } = old
  for (const id of ['ep_a', 'ep_b']) await endpoint(store, 'a', id)
  const nowMs = Date.now()
  await old.at(nowMs)
  await store.publish([anEvent()])
  await routeAll(store)
  expect(await store.claim({ limit: 10, owner: 'dead', suspects: true, handlers: [] })).toHaveLength(2)
  await old.at(nowMs + RULES.leaseMs)
  const reaped = async (): Promise<string[]> => (await store.reap(10)).map((one) => one.endpoint)
  // As a process does that stands still between the two flights of a settle.
  const holding = await pool.connect()
  try {
    await holding.query('begin')
    await holding.query(`select 1 from ${schema}.webhook_endpoint e join ${schema}.webhook_lane l on l.lane = e.lane
      where e.id = 'ep_a' for update of l`)
    expect(await reaped()).toEqual(['ep_b'])
  } finally {
    await holding.query('rollback')
    holding.release()
  }
  expect(await reaped()).toEqual(['ep_a'])
})

/** Settles while the lane is locked, and kills the backend that waits for it in this function of the store. */
async function settleKilled(settlements: readonly Settlement[], fn: string): Promise<unknown> {
  const { pool, schema, store } = opened
  const client = await pool.connect()
  await client.query('begin')
  await client.query(`select 1 from ${schema}.webhook_lane for update`)
  const settling = store.settle(settlements).catch((error: unknown) => error)
  for (let waiting = 0; waiting === 0;) {
    const { rows } = await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and query like '%${schema}.${fn}%'`,
    )
    waiting = rows.length
  }
  await client.query('commit')
  client.release()
  return settling
}

async function claimOf(scope: string): Promise<readonly Claim[]> {
  const { store } = opened
  await endpoint(store, scope)
  await store.publish([anEvent(scope, { scope })])
  await routeAll(store)
  const claims = await store.claim({ limit: 10, owner: 'n', suspects: true, handlers: [] })
  expect(claims.length).toBe(1)
  return claims
}

test('a settle whose backend is killed before it has its locks goes again on another, once', async () => {
  const { store } = opened
  const failures = (await claimOf('killed')).map((claim): Settlement => {
    return { ...success(claim), end: { kind: 'dead', reason: 'exhausted' }, signal: { kind: 'none' } }
  })
  // The kernel's unit begins anew where nothing has happened.
  expect(await settleKilled(failures, 'webhook_load')).toEqual([{ kind: 'ok', notices: [] }])
  const { delivery } = failures[0]!.token
  expect(await store.deliveries.get('killed', delivery)).toMatchObject({ status: 'dead', attempts: 1 })
  expect(await store.settle(failures)).toEqual([{ kind: 'stale' }])
  expect((await store.deliveries.attempts('killed', delivery, { limit: 10 }))!.length).toBe(1)
  expect((await store.endpoints.get('killed', 'ep_1'))!.health.inFlight).toBe(0)
})

test('one flight of successes whose backend is killed has done nothing, and who asks again settles', async () => {
  const { store } = opened
  const claims = await claimOf('one_flight')
  expect(await settleKilled(claims.map(success), 'webhook_succeed')).toBeInstanceOf(Error)
  const { delivery } = claims[0]!.token
  expect(await store.deliveries.get('one_flight', delivery)).toMatchObject({ status: 'delivering', attempts: 0 })
  expect(await store.settle(claims.map(success))).toEqual([{ kind: 'ok', notices: [] }])
  expect(await store.deliveries.get('one_flight', delivery)).toMatchObject({ status: 'succeeded', attempts: 1 })
})

test('attempts go with the partition of their day, and tomorrow has one already', async () => {
  const DAY_MS = 86_400_000
  await using old = await openPostgres()
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS + 3_600_000
  await old.at(today)
  const { store, pool, schema } = old
  const keep = { attemptsMs: 2 * DAY_MS, deliveriesMs: 1e12, eventsMs: 1e12, heldMs: 1e12 }
  const days = async (): Promise<unknown[]> =>
    (await pool.query(`select tableoid::regclass::text as name from ${schema}.webhook_attempt order by at_ms`)).rows
  await endpoint(store, 'a')
  for (const day of [0, 1, 2, 9]) {
    await old.at(today + day * DAY_MS)
    await store.publish([anEvent()])
    await routeAll(store)
    await store.settle((await store.claim({ limit: 10, owner: 'n', suspects: true, handlers: [] })).map(success))
    if (day < 2) expect(await store.sweep(100, keep)).toBe(0)
  }
  const names = (await days()).map((row) => (row as { name: string }).name.split('.')[1])
  const first = today / DAY_MS
  expect(names).toEqual([
    ...[0, 1, 2].map((day) => `webhook_attempt_${Math.floor(first) + day}`),
    // Nobody has swept for a week: it is kept nevertheless.
    'webhook_attempt_default',
  ])
  expect(await store.sweep(100, keep)).toBeGreaterThanOrEqual(3)
  expect((await days()).length).toBe(1)
  const { rows } = await store.deliveries.list({ scope: 'a' }, { limit: 10 })
  const logs = await Promise.all(
    rows.map(async ({ id }) => (await store.deliveries.attempts('a', id, { limit: 10 }))!.length),
  )
  expect(logs).toEqual([1, 0, 0, 0])
})

test('an attempt of no partition that is committed while the old ones are locked to go stays', async () => {
  const DAY_MS = 86_400_000
  await using old = await openPostgres()
  const { store, pool, schema } = old
  const today = Math.floor(Date.now() / DAY_MS) + 10
  await old.at(today * DAY_MS)
  const attempt = (atMs: number) => `insert into ${schema}.webhook_attempt
    (scope, delivery, fence, number, at_ms, duration_ms, outcome) values ('a', 'd', ${atMs}, 1, ${atMs}, 1, 'success')`
  const retire = () => pool.query(`select ${schema}.webhook_retire(${DAY_MS})`)
  // The partitions of when it was migrated.
  await retire()
  await pool.query(attempt((today - 5) * DAY_MS))
  await pool.query(`alter function ${schema}.webhook_retire set lock_timeout = '60s'`)
  const writing = await pool.connect()
  await writing.query(`begin; ${attempt(today * DAY_MS)}`)
  const retiring = retire()
  await waitsFor(writing)
  await writing.query('commit')
  writing.release()
  await retiring
  const { rows } = await pool.query(
    `select at_ms::float8 as at from ${schema}.webhook_attempt where at_ms = ${today * DAY_MS}`,
  )
  expect(rows).toEqual([{ at: today * DAY_MS }])
  expect(await store.sweep(100, { attemptsMs: DAY_MS, deliveriesMs: 1e12, eventsMs: 1e12, heldMs: 1e12 })).toBe(0)
})

test('nodes that sweep together make and drop the partitions of days once, and none of them fails', async () => {
  const DAY_MS = 86_400_000
  const NODES = 10
  await using old = await openPostgres(undefined, NODES)
  const { store, pool, schema } = old
  const keep = { attemptsMs: DAY_MS, deliveriesMs: 1e12, eventsMs: 1e12, heldMs: 1e12 }
  const days = async (): Promise<number[]> => {
    const { rows } = await pool.query<{ name: string }>(
      `select relid::text as name from pg_partition_tree('${schema}.webhook_attempt') where isleaf`,
    )
    return rows.flatMap(({ name }) => Number(/_(\d+)$/.exec(name)?.[1] ?? NaN) || []).toSorted((a, b) => a - b)
  }
  const today = Math.floor(Date.now() / DAY_MS)
  // Each time all partitions are those of days that are over, and none is that of a day to come.
  for (const day of [10, 20, 30, 40].map((later) => today + later)) {
    await old.at(day * DAY_MS)
    await Promise.all(Array.from({ length: NODES }, () => store.sweep(100, keep)))
    // What was locked for a moment is left to the next one.
    await store.sweep(100, keep)
    expect(await days()).toEqual([day, day + 1, day + 2])
  }
})

const PATIENCE_MS = 60_000

/** Who waits for a lock of a transaction that `client` has open. */
async function waitsFor(client: pg.PoolClient): Promise<void> {
  const { processID } = client as unknown as { processID: number }
  await until('somebody waits for a lock', PATIENCE_MS, async () => {
    const text = 'select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))'
    return (await opened.pool.query(text, [processID])).rows[0] as unknown
  })
}

test('of two nodes that register one function with other types at once, the last one is a new audience', async () => {
  const { pool, schema, store } = opened
  const handler = (types: readonly string[]): HandlerRow => ({ name: 'both', types, scope: null, rules: RULES })
  const typesOf = (audience: Audience) => audience.handlers.find(({ name }) => name === 'both')?.types
  await store.registerHandlers([handler(['old.*'])])

  const client = await pool.connect()
  await client.query('begin')
  // Wrapped, nobody's patience ends.
  const storeOn = (on: pg.Pool | pg.PoolClient): OpenStore['store'] => {
    const query: Tx['query'] = (text, values) => on.query(text, values as unknown[])
    return postgresStore({ query, transaction: () => expect.unreachable() }, { schema })
  }
  const other = storeOn(client)
  await other.registerHandlers([handler(['new.*'])])
  const registering = storeOn(pool).registerHandlers([handler(['old.*'])])
  await waitsFor(client)
  // What a router reads, and keeps, between the two.
  const between = await other.audience('a')
  await client.query('commit')
  client.release()
  await registering
  const last = await store.audience('a')
  expect([typesOf(between), typesOf(last)]).toEqual([['new.*'], ['old.*']])
  expect(last.revision).not.toBe(between.revision)
})

test('nodes hear of each other also in a schema of the longest name', async () => {
  const { pool, listen } = opened
  const schema = opened.schema.padEnd(63, '_')
  const [store, other] = [
    postgresStore(pool, { schema, listen: listen! }),
    postgresStore(pool, { schema, listen: listen! }),
  ]
  await migrate(pool, [store])
  try {
    let heard = 0
    await other.onWake(() => heard++)
    await store.publish([anEvent()])
    await until('the other one is told', PATIENCE_MS, async () => heard || undefined)
  } finally {
    await Promise.all([store.close(), other.close()])
    await pool.query(`drop schema ${schema} cascade`)
  }
})
