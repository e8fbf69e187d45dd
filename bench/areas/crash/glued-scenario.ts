import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Webhook } from 'standardwebhooks'
import { openMerchant, type Merchant } from '../../../examples/parcels/test/crash/merchant.ts'
import { onBehalf, outside } from '../../../examples/parcels/test/crash/on-behalf.ts'
import { flight } from '../../../tools/crash/flight.ts'
import type { Counts, CrashPlace, CrashScenario } from '../../../tools/crash/scenario.ts'
import { until } from '../../../tools/servers/until.ts'
import { findings } from './findings.ts'
import { gluedServer, QUEUE } from './glued-app.ts'

const SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`
const PATIENCE_MS = 60_000
/** How long a list of another node may be behind: its bus is fast. What is stale then stays so for its ten minutes. */
const BUS_MS = 1_000
/** A client that hears 409 comes back so often. */
const TRIES = 5

// The key; the row; the job; the list; and around them the reply.
flight(pg.Client.prototype, 'query')
flight(Redis.prototype, 'sendCommand')
const client = flight({ book }, 'book')

/** The same booking as `keelson`'s. The process that opens first lives on: the other node, and the worker of the jobs. */
const scenario: CrashScenario = { judge: findings, open }
export default scenario

async function open({ databaseUrl, redisUrl, name, folder }: CrashPlace) {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  pool.on('error', () => {})
  const { hostname: host, port } = new URL(redisUrl)
  const redis = { host, port: Number(port), connectionName: name }
  const auditFile = join(folder, 'audit.jsonl')
  const file = join(folder, 'other.txt')
  const isFirst = !existsSync(file)
  if (isFirst) {
    await pool.query(`create table shipments (id bigint generated always as identity primary key, merchant text not null,
  "to" text not null, kg float8 not null);
create index on shipments ("to")`)
  }
  const server = await gluedServer({ pool, redis, auditFile })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  if (isFirst) writeFileSync(file, url)
  const other = readFileSync(file, 'utf8')
  const sent = isFirst ? await deliver(redis) : undefined

  const floors = new Map<string, Promise<string>>()
  /** All that were booked since the first booking of the round was asked for. */
  async function list(key: string): Promise<string[]> {
    const round = key.split('-')[0]!
    if (!floors.has(round)) floors.set(round, floorOf(pool, join(folder, `floor-${round}`)))
    const response = await fetch(`${other}/shipments?after=${await floors.get(round)!}`)
    const { items } = (await response.json()) as { items: { to: string }[] }
    return items.map(({ to }) => to)
  }

  return {
    async write(key: string): Promise<string> {
      await outside(() => list(key))
      return await onBehalf(key, () => client.book(url, key))
    },
    async read(keys: readonly string[]): Promise<ReadonlyMap<string, Counts>> {
      await sent!.all()
      const { rows } = await pool.query<{ key: string; rows: number }>(
        `select key, (select count(*)::int from shipments where "to" = key) as rows from unnest($1::text[]) as k(key)`,
        [keys],
      )
      const lines = readFileSync(auditFile, 'utf8').split('\n')
      const told = [...sent!.merchant.done.values()]
      let all: string[] = []
      const listed = (key: string): number => all.filter((to) => to === key).length
      await until('the list is right', BUS_MS, async () => {
        all = keys[0] === undefined ? [] : await list(keys[0])
        return rows.every(({ key, rows }) => listed(key) === rows) || undefined
      }).catch(() => {})
      const counts = ({ key, rows }: { key: string; rows: number }): Counts => ({
        rows,
        entries: lines.filter((line) => line.includes(`"to":"${key}"`)).length,
        events: told.filter((to) => to === key).length,
        listed: listed(key),
      })
      return new Map(rows.map((row) => [row.key, counts(row)]))
    },
  }
}

async function floorOf(pool: pg.Pool, file: string): Promise<string> {
  if (!existsSync(file)) {
    const { rows } = await pool.query<{ id: string }>('select coalesce(max(id), 0)::text as id from shipments')
    writeFileSync(file, rows[0]!.id)
  }
  return readFileSync(file, 'utf8')
}

/** In a process that is not killed, as the workers of a queue should run: no job waits for the lock of a dead one. */
async function deliver(connection: object): Promise<{ merchant: Merchant; all(): Promise<unknown> }> {
  const merchant = await openMerchant()
  merchant.secret = SECRET
  const webhook = new Webhook(SECRET)
  const redis = { ...connection, maxRetriesPerRequest: null }
  const queue = new Queue(QUEUE, { connection: redis })
  const worker = new Worker(
    QUEUE,
    async ({ id, name, data, timestamp }) => {
      const body = JSON.stringify({ type: name, data })
      const at = new Date(timestamp)
      const headers = {
        'webhook-id': `${id}`,
        'webhook-timestamp': `${Math.floor(timestamp / 1000)}`,
        'webhook-signature': webhook.sign(`${id}`, at, body),
      }
      const response = await fetch(merchant.url, { method: 'POST', headers, body })
      if (!response.ok) throw new Error(`answered ${response.status}`)
    },
    { connection: redis, concurrency: 16 },
  )
  worker.on('error', () => {})
  const isDone = async (): Promise<true | undefined> => {
    const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized')
    return Object.values(counts).every((count) => count === 0) || undefined
  }
  return { merchant, all: () => until('all jobs are done', PATIENCE_MS, isDone) }
}

/** What its client is told. */
async function book(node: string, key: string): Promise<string> {
  let answer = ''
  for (let left = TRIES; left > 0; left--) {
    const response = await fetch(`${node}/shipments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ to: key, kg: 1 }),
    })
    answer = `${response.status} ${await response.text()}`
    if (response.status === 201) return answer
    await sleep(100)
  }
  throw new Error(`no answer, but ${answer}`)
}
