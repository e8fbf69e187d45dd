import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { until } from '../../../tools/servers/until.ts'
import { startNodeProcess, type NodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

/** Of our nodes' connections: nodes of other tests book on the same database. */
const OURS = `two-nodes-${process.pid}`
const databaseUrl = new URL(inject('databaseUrl'))
databaseUrl.searchParams.set('application_name', OURS)

const environment = {
  DATABASE_URL: databaseUrl.href,
  ...shared,
  BOOKINGS_PER_MINUTE: 1_000_000,
}
const PATIENCE_MS = 60_000
let pool: pg.Pool
let nodes: NodeProcess[]

beforeAll(async () => {
  pool = new pg.Pool({ connectionString: inject('databaseUrl') })
  nodes = await Promise.all([1, 2].map(() => startNodeProcess(environment)))
})
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.end('SIGTERM')))
  await pool.end()
})

interface Answer {
  status: number
  replayed: boolean
  text: string
}

async function book(node: number, key: string, { kg = 1, merchant = 'm1', to = key } = {}): Promise<Answer> {
  const response = await fetch(`${nodes[node % nodes.length]!.ready.url}/shipments`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${merchant}`,
      'content-type': 'application/json',
      'idempotency-key': key,
      'x-correlation-id': to,
    },
    body: JSON.stringify({ to, kg }),
  })
  const replayed = response.headers.get('idempotent-replayed') === 'true'
  return { status: response.status, replayed, text: await response.text() }
}

async function count(to: string): Promise<{ shipments: number; events: number; entries: number }> {
  const { rows } = await pool.query(
    `select (select count(*)::int from parcels.shipments where "to" = $1) as shipments,
  (select count(*)::int from keelson.webhook_event where correlation = $1) as events,
  (select count(*)::int from keelson.audit_entry
    where convert_from(body, 'UTF8')::jsonb @> jsonb_build_object('event', '{"outcome":"success"}'::jsonb,
      'audit', jsonb_build_object('correlation', $1::text))) as entries`,
    [to],
  )
  return rows[0] as { shipments: number; events: number; entries: number }
}

let keys = 0
const newKey = (): string => `two-nodes-${process.pid}-${keys++}`

test('twenty identical bookings over two processes: one run, twenty equal answers', async () => {
  const key = newKey()
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => book(i, key)))
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
  expect(answers[0]!.status).toBe(201)
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
  expect(await count(key)).toEqual({ shipments: 1, events: 1, entries: 1 })
})

test('another payload is refused with 422 by both processes, also while the first booking runs', async () => {
  const key = newKey()
  // The table is held, so the first booking stands in the middle of its transaction.
  const holder = await pool.connect()
  await holder.query('begin; lock table parcels.shipments in exclusive mode')
  const first = book(0, key)
  await bookingBlocked()
  const others = [book(0, key, { kg: 2, to: key }), book(1, key, { kg: 2, to: key })]
  expect((await others[0]!).status).toBe(422)
  await holder.query('commit')
  holder.release()
  expect((await first).status).toBe(201)
  expect((await others[1]!).status).toBe(422)
  expect((await book(1, key, { kg: 3 })).status).toBe(422)
  expect(await count(key)).toEqual({ shipments: 1, events: 1, entries: 1 })
})

test("a merchant's key is its own", async () => {
  const key = newKey()
  const answers = [await book(0, key), await book(1, key, { merchant: 'm2' })]
  expect(answers.map(({ status, replayed }) => [status, replayed])).toEqual([
    [201, false],
    [201, false],
  ])
  expect(await count(key)).toEqual({ shipments: 2, events: 2, entries: 2 })
})

test('a node killed while bookings are in flight: after a retry on the other each is there once', async () => {
  for (let kill = 0; kill < 3; kill++) {
    const victim = await startNodeProcess(environment)
    nodes.push(victim)
    const keys = Array.from({ length: 24 }, newKey)
    const sent = keys.map((key) => book(nodes.length - 1, key).catch(() => undefined))
    await Promise.any(sent)
    await victim.end('SIGKILL')
    nodes.pop()
    const told = await Promise.all(sent)
    const retried = await Promise.all(keys.map((key, i) => book(i, key)))
    for (const [i, key] of keys.entries()) {
      expect(retried[i]!.status).toBe(201)
      if (told[i] !== undefined) expect(retried[i]).toEqual({ ...told[i], replayed: true })
      expect(await count(key)).toEqual({ shipments: 1, events: 1, entries: 1 })
    }
  }
})

/** Resolves when a booking of ours waits for the held table. */
async function bookingBlocked(): Promise<void> {
  const text = `select 1 from pg_stat_activity
where application_name = $1 and wait_event_type = 'Lock' and query like 'insert into parcels.shipments%'`
  await until('a booking waits', PATIENCE_MS, async () => {
    return (await pool.query(text, [OURS])).rows.length > 0 || undefined
  })
}
