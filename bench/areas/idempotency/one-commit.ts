import { randomUUID } from 'node:crypto'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate, prepared } from '@keelson/kernel/postgres'
import type { Effect } from '@keelson/kernel'
import { Redis } from 'ioredis'
import type { Pool, PoolClient } from 'pg'
import { Pool as HttpPool } from 'undici'
import type { Case, Contender, Running } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'

const KEELSON = 'keelson transaction()'
const GLUE = 'glued stack'
const BARE = 'bare transaction'
const RETAIN_MS = 86_400_000

const ORDER = 'insert into orders (sku, cents) values ($1, $2) returning id'
const LINE = 'insert into lines (order_id, sku) values ($1, $2)'
const AUDIT = 'insert into audit (action, target, data) values ($1, $2, $3)'
const OUTBOX = 'insert into outbox (type, data) values ($1, $2)'
const DROP = 'insert into drops (tag) values ($1)'

interface Order {
  readonly id: string
  readonly sku: string
}

/**
 * One write request and all that must follow it: two rows, an audit entry, a cache entry dropped, a webhook told, the
 * answer kept for a retry. Ours is one commit; a dispatcher sends the webhook from its row afterwards, and that is not
 * in our figure (`pnpm bench webhooks` has it). The glue sends it itself, as glue does.
 */
export function oneCommit(services: Services): Case[] {
  return [atOnce(services, 16), atOnce(services, 1)]
}

function atOnce(services: Services, callers: number): Case {
  const contender = (name: string, open: (base: Base) => Promise<Writer>): Contender => ({
    name,
    async open(): Promise<Running> {
      await using opened = new AsyncDisposableStack()
      const schema = `${services.id}_${callers}_${name.replace(/\W+/g, '_')}`
      const { pool, close } = await openPool(await services.databaseUrl(), schema, callers)
      opened.defer(close)
      await createTables(pool)
      const base = { pool, schema, opened, redisUrl: await services.redisUrl(), prefix: `${services.id}:glue` }
      const write = await open(base)
      const parts = opened.move()
      return { run: (forMs) => closedLoop(callers, forMs, write), close: () => parts.disposeAsync() }
    },
  })
  const ours = (figure: string, over: string) => ({ of: KEELSON, figure, over })
  return {
    name: `a write with three effects, ${callers === 1 ? 'one connection' : `${callers} connections`}`,
    note: 'two rows, audit, cache drop, webhook, stored answer; bare: the same five rows, no key and no answer',
    base: GLUE,
    warmUpMs: 1500,
    runMs: callers === 1 ? 700 : 1000,
    contenders: [
      contender(KEELSON, openKeelson),
      contender(GLUE, (base) => openGlue(base, false)),
      contender('glued stack, its tail at once', (base) => openGlue(base, true)),
      contender(BARE, openBare),
    ],
    targets: [
      { ...ours('per s', GLUE), ...(callers === 1 ? { atLeast: 1.6, aim: 1.9 } : { atLeast: 1.2, aim: 1.4 }) },
      { ...ours('p99 ms', GLUE), atMost: 1.1 },
      ...(callers === 1 ? [] : [{ ...ours('per s', BARE), atLeast: 0.6 }]),
    ],
  }
}

type Writer = () => Promise<unknown>

interface Base {
  readonly pool: Pool
  readonly schema: string
  readonly redisUrl: string
  readonly prefix: string
  readonly opened: AsyncDisposableStack
}

async function createTables(pool: Pool): Promise<void> {
  await pool.query('create table orders (id bigserial primary key, sku text, cents integer)')
  await pool.query('create table lines (id bigserial primary key, order_id bigint, sku text)')
  await pool.query('create table audit (id bigserial primary key, action text, target text, data jsonb)')
  await pool.query('create table outbox (id bigserial primary key, type text, data jsonb)')
  await pool.query('create table drops (id bigserial primary key, tag text)')
}

async function openKeelson({ pool, schema, opened }: Base): Promise<Writer> {
  const store = postgresStore(pool, { schema })
  await migrate(pool, [store])
  // A machine under load is no reason to give up a call.
  const idempotency = createIdempotency({ store, storeTimeout: '5s' })
  opened.defer(() => idempotency.close())
  return async () => {
    const key = randomUUID()
    const call = { scope: 'public', op: 'POST /orders', key, input: { sku: 'tea', cents: 990 } }
    return unwrap(
      await idempotency.transaction(call, async (tx) => {
        const { rows } = await tx.query(ORDER, ['tea', 990])
        const order: Order = { id: rows[0].id, sku: 'tea' }
        await tx.query(LINE, [order.id, 'tea'])
        return reply(201, order, effectsOf(order))
      }),
    )
  }
}

/** As the packages audit, cache and webhooks make them. */
function effectsOf(order: Order): Effect[] {
  const data = JSON.stringify(order)
  const one = (kind: string, text: string, values: readonly unknown[]): Effect => ({
    kind,
    statements: () => [prepared(text, values)],
  })
  return [
    one('audit.entry', AUDIT, ['order.create', order.id, data]),
    one('webhook.event', OUTBOX, ['order.created', data]),
    one('cache.drop', DROP, [`order:${order.id}`]),
  ]
}

/**
 * Published libraries, each as documented and in its fastest honest form: the claim and the answer are the commands
 * that @node-idempotency/core sends (SET NX PX, SET PX), sent by ioredis without its JSON and hash; pg with a client of
 * its pool; undici with keep-alive. `tailAtOnce` lets all that follows the COMMIT leave together: faster, and then no
 * order holds between an answer that is stored and an audit entry that is not.
 */
async function openGlue({ pool, redisUrl, prefix, opened }: Base, tailAtOnce: boolean): Promise<Writer> {
  const redis = new Redis(redisUrl)
  opened.defer(() => redis.disconnect())
  const receiver = await startChild(new URL('receiver.ts', import.meta.url), [])
  opened.defer(() => receiver.stop())
  const http = new HttpPool(await receiver.ask<string>({}), { connections: 16 })
  opened.defer(() => http.destroy())

  const post = async (body: string): Promise<void> => {
    const headers = { 'content-type': 'application/json' }
    const response = await http.request({ path: '/hook', method: 'POST', headers, body })
    await response.body.dump()
  }
  return async () => {
    const key = `${prefix}:${randomUUID()}`
    if ((await redis.set(key, '{"status":"IN_PROGRESS"}', 'PX', RETAIN_MS, 'NX')) === null) throw new Error('in use')
    const order = await inTransaction(pool, async (client) => {
      const { rows } = await client.query(ORDER, ['tea', 990])
      await client.query(LINE, [rows[0].id, 'tea'])
      return { id: rows[0].id as string, sku: 'tea' }
    })
    const data = JSON.stringify(order)
    const tail = [
      () => pool.query(AUDIT, ['order.create', order.id, data]),
      () => redis.del(`${prefix}:order:${order.id}`),
      () =>
        redis.set(key, JSON.stringify({ status: 'COMPLETE', response: { status: 201, body: data } }), 'PX', RETAIN_MS),
      () => post(data),
    ]
    if (tailAtOnce) await Promise.all(tail.map((step) => step()))
    else for (const step of tail) await step()
  }
}

/** The rows of ours but for its record, each statement awaited. */
async function openBare({ pool }: Base): Promise<Writer> {
  return () =>
    inTransaction(pool, async (client) => {
      const { rows } = await client.query(ORDER, ['tea', 990])
      const { id } = rows[0]
      const data = JSON.stringify({ id, sku: 'tea' })
      await client.query(LINE, [id, 'tea'])
      await client.query(AUDIT, ['order.create', id, data])
      await client.query(OUTBOX, ['order.created', data])
      await client.query(DROP, [`order:${id}`])
    })
}

async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const value = await work(client)
    await client.query('COMMIT')
    return value
  } finally {
    client.release()
  }
}
