import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import type { Tx } from '@keelson/kernel'
import { database } from '@keelson/kernel/postgres'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { askRedis } from '../../../tools/servers/ask-redis.ts'
import { startPostgres } from '../../../tools/servers/postgres.ts'
import { startRedis } from '../../../tools/servers/redis.ts'
import { until } from '../../../tools/servers/until.ts'
import { client } from '../src/client.ts'
import { courier } from '../src/courier.ts'
import { EXPORTED_BY } from '../src/leaving-step.ts'
import { runCommand, startNodeProcess, type NodeProcess } from '../src/node-process.ts'
import { placesOf } from '../src/places-of.ts'
import { filesWith } from './files-with.ts'
import { shared } from './shared.ts'

const PATIENCE_MS = 60_000
// Two databases, four processes and some searches through all that they keep.
vi.setConfig({ testTimeout: 600_000 })

let folder: string
/** A receiver that says again what it was told, and more. */
const receiver = createServer((req, res) => {
  req.resume().on('end', () => res.end(`thanks, ${req.url}, says the receiver`))
})
let hooks: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  hooks = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await rm(folder, { recursive: true })
})

/** What one merchant, its courier and its receiver tell. */
interface Life {
  readonly values: readonly string[]
  /** Of its courier. */
  readonly device: string
  sync(): Promise<void>
  close(): Promise<void>
}

/** A merchant with an endpoint, a parcel that was delivered, and one that it took back while it was on the road. */
async function live(name: string, merchant: string, by: string, url: string, db: Tx): Promise<Life> {
  const some = (what: string): string => `${what} ${randomBytes(8).toString('hex')}`
  const value = {
    to: some('Ada, Marsh Lane'),
    note: some('the bell is broken'),
    doorCode: some('code'),
    place: some('with the neighbour'),
    late: some('on the third floor'),
    hook: randomBytes(8).toString('hex'),
  }
  const { book, list, webhooks } = client(url, db as never)
  expect((await webhooks('POST', '/endpoints', { url: `${hooks}/${value.hook}` }, merchant)).status).toBe(201)
  const bookOne = async (key: string): Promise<string> =>
    (await book(`${name}-${merchant}-${key}`, { merchant, to: value.to })).headers.get('location')!.split('/').at(-1)!
  const [door, gone] = [await bookOne('door'), await bookOne('gone')]

  const devices = join(folder, `devices-of-${name}`)
  const own = courier(by, { url, folder: devices, correlation: `${name}-${by}` })
  await own.device.sync()
  const { note, doorCode, place } = value
  await own.parcels.patch(door, { note, doorCode, place })
  await own.device.sync()
  own.isOnline = false
  await own.parcels.patch(gone, { note: value.late })
  const headers = { authorization: `Bearer ${merchant}`, 'idempotency-key': `${name}-${merchant}-cancel` }
  expect((await fetch(`${url}/shipments/${gone}`, { method: 'DELETE', headers })).status).toBe(204)
  own.isOnline = true
  await own.device.sync()
  for (let reads = 0; reads < 2; reads++) expect((await list(merchant, '0')).status).toBe(200)
  await until('its receiver has answered all', PATIENCE_MS, async () => {
    const { items } = (await webhooks('GET', '/deliveries?status=succeeded', undefined, merchant)).json()
    return items!.length >= 4 || undefined
  })
  return {
    values: Object.values(value),
    device: join(devices, by),
    async sync() {
      await own.device.sync()
      // What could not be written stays on the device until its courier has seen it.
      for (const issue of own.device.issues()) await issue.discard()
    },
    close: () => own.device.close(),
  }
}

async function exportOf(url: string, merchant: string): Promise<{ holder: string; text: string }[]> {
  const authorization = 'Bearer ops'
  const response = await fetch(`${url}/merchants/${merchant}/export`, { headers: { authorization } })
  expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store'])
  const lines = (await response.text()).trim().split('\n')
  const end = JSON.parse(lines.pop()!) as object
  expect(end).toEqual({ end: true, lines: lines.length })
  return lines.map((text) => ({ holder: (JSON.parse(text) as { holder: string }).holder, text })).toSorted(byText)
}
const byText = (a: { text: string }, b: { text: string }): number => (a.text < b.text ? -1 : 1)

/** What the README tells an operator to do. */
async function runReadme(db: Tx): Promise<void> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const lines = /```sql\n([^`]+)```/.exec(readme)![1]!.trim().split('\n')
  expect(lines.at(-1)).toBe('checkpoint')
  for (const line of lines) {
    if (line === 'vacuum full') await oldOnesEnded(db)
    await db.query(line)
  }
}

/** What an open transaction may still read no vacuum removes: the README says to wait for it. */
async function oldOnesEnded(db: Tx): Promise<void> {
  const { rows } = await db.query('select pg_current_xact_id()::xid::text as now')
  const old = 'select 1 from pg_stat_activity where pid <> pg_backend_pid() and age(backend_xmin) > age($1::xid)'
  await until('older transactions have ended', PATIENCE_MS, async () => {
    return (await db.query(old, [rows[0].now])).rows.length === 0 || undefined
  })
}

/** What a node says, as an operator would keep it. */
function logOf({ child }: NodeProcess): () => string {
  let text = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return () => text
}

test('on Postgres and Redis: every value of a merchant is exported, erased from all stores and all their files; another one keeps all', async () => {
  await using postgres = await startPostgres()
  await using redis = await startRedis({ settings: { appendonly: 'yes', rdbcompression: 'no' } })
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 })
  pool.on('error', () => {})
  const db = database(pool)
  const file = join(folder, 'on-servers.jsonl')
  const stores = { DATABASE_URL: postgres.url, REDIS_URL: redis.url, AUDIT_FILE: file }
  const env = { ...shared, ...stores, WEBHOOK_ALLOW: '127.0.0.1/32' }
  const node = await startNodeProcess(env)
  const said = logOf(node)
  const { url } = node.ready
  const lives = { m1: await live('servers', 'm1', 'c1', url, db), m2: await live('servers', 'm2', 'c3', url, db) }
  const { values, device } = lives.m2
  await until('the log is shipped', PATIENCE_MS, async () => {
    return (await readFile(file, 'utf8')).includes('servers-m2-gone') || undefined
  })

  const [{ data_directory: data }] = (await pool.query('show data_directory')).rows as [{ data_directory: string }]
  const redisFolder = (await askRedis(redis.url, 'CONFIG', 'GET', 'dir')) as [string, string]
  const folders = { postgres: dirname(data), redis: redisFolder[1], device }
  const found = async (searched: readonly (string | Uint8Array)[]): Promise<string[]> => {
    const lists = Object.entries(folders).map(async ([name, path]) =>
      (await filesWith(path, searched)).map((each) => `${name}: ${each}`),
    )
    const others = { shipped: await readFile(file, 'utf8'), said: said() }
    const inOthers = Object.entries(others).filter(([, text]) => searched.some((value) => text.includes(String(value))))
    return [...(await Promise.all(lists)).flat(), ...inOthers.map(([name]) => name)]
  }
  const persist = async (): Promise<void> => {
    await askRedis(redis.url, 'SAVE')
    await askRedis(redis.url, 'BGREWRITEAOF')
    await until('the file is written anew', PATIENCE_MS, async () => {
      const info = String(await askRedis(redis.url, 'INFO', 'persistence'))
      return /aof_rewrite_in_progress:0[^]*aof_rewrite_scheduled:0/.test(info) || undefined
    })
  }
  const places = async (of: readonly string[]): Promise<string[]> => {
    const all = await Promise.all(of.map((value) => placesOf(value, { db, redisUrl: redis.url, file })))
    return [...new Set(all.flat())].toSorted()
  }

  // What is in memory only goes with it: now it is in files, as it would be some minutes later.
  await pool.query('analyze')
  await pool.query('checkpoint')
  await askRedis(redis.url, 'SAVE')
  const keys = (await pool.query("select wrapped from keelson.audit_key where scope = 'm2'")).rows as {
    wrapped: Buffer
  }[]
  const wrapped = keys.map((key) => key.wrapped)
  expect(wrapped.length).toBeGreaterThan(3)
  expect((await found(wrapped)).some((place) => place.includes('pg_wal'))).toBe(true)
  const before = await found(values)
  for (const place of [
    'postgres: data/base',
    'postgres: data/pg_wal',
    'redis: dump',
    'redis: appendonly',
    'device: ',
  ]) {
    expect(
      before.filter((each) => each.startsWith(place)),
      place,
    ).not.toEqual([])
  }
  expect(before).not.toContain('shipped')
  expect(before).not.toContain('said')

  const exported = await exportOf(url, 'm2')
  for (const value of values)
    expect(
      exported.filter(({ text }) => text.includes(value)),
      value,
    ).not.toEqual([])
  const holders = new Set(
    exported.filter(({ text }) => values.some((value) => text.includes(value))).map((l) => l.holder),
  )
  expect(holders).toEqual(new Set(['audit', 'idempotency', 'webhooks', 'sync', 'shipments', 'endpoints']))
  const tables = (await places(values)).filter((place) => /^(keelson|parcels)\.[a-z_]+$/.test(place))
  for (const table of tables) expect(Object.keys(EXPORTED_BY), table).toContain(table)
  const [kept, keptIn] = [await exportOf(url, 'm1'), await places(lives.m1.values)]
  expect(keptIn.length).toBeGreaterThan(5)

  const erased = await client(url, db).erase('m2', 'ops')
  expect(JSON.parse(erased.bytes.toString())).toMatchObject({
    audit: { keys: wrapped.length, unreached: [] },
    idempotency: { answers: 3 },
    shipments: { shipments: 1 },
    endpoints: { endpoints: 1 },
  })
  expect(await places(values)).toEqual([])
  expect((await exportOf(url, 'm2')).filter(({ text }) => values.some((value) => text.includes(value)))).toEqual([])
  await lives.m2.sync()
  for (const { close } of Object.values(lives)) await close()
  await runReadme(db)
  await persist()
  expect(await found(values)).toEqual([])
  expect(await found(wrapped)).toEqual([])

  expect(await exportOf(url, 'm1')).toEqual(kept)
  expect(await places(lives.m1.values)).toEqual(keptIn)
  expect(await node.end('SIGTERM')).toEqual([0, null])
  const { code, stdout } = await runCommand(env, ['audit:verify'])
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true, integrity: 'ok' }])
  expect(await found(values)).toEqual([])
  await pool.end()
})

test('embedded: nothing of it is left in the data folder', async () => {
  const data = join(folder, 'data')
  const env = {
    ...shared,
    DATA_DIR: data,
    AUDIT_FILE: join(folder, 'embedded.jsonl'),
    WEBHOOK_ALLOW: '127.0.0.1/32',
  }
  const node = await startNodeProcess(env)
  const { values, close } = await live('embedded', 'm2', 'c3', node.ready.url, undefined as never)
  await close()
  expect((await client(node.ready.url, undefined as never).erase('m2', 'ops')).status).toBe(200)
  expect(await node.end('SIGTERM')).toEqual([0, null])
  expect(await filesWith(data, values)).not.toEqual([])
  const db = await PGlite.create(data)
  await db.query('set wal_recycle = off')
  await runReadme(database(db))
  await db.close()
  expect(await filesWith(data, values)).toEqual([])
  const { code, stdout } = await runCommand(env, ['audit:verify'])
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true, integrity: 'ok' }])
})
