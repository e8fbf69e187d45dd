import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { database, type KnownDatabase } from '@keelson/kernel/postgres'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { client } from '../../src/client.ts'
import { courier, type Courier } from '../../src/courier.ts'
import { shared } from '../shared.ts'
import { parcelsOnPostgres } from './cells.ts'
import { startNode, type Answer, type Node } from './node.ts'
import { openStores, type State, type Stores } from './stores.ts'
import { expectRefusal, holds, served, testCells, type Check } from './test-cells.ts'

let stores: Stores
let node: Node
let pool: pg.Pool
let db: KnownDatabase
let folder: string
let device: Courier

beforeAll(async () => {
  stores = await openStores()
  const environment = { ...shared, STORE_TIMEOUT: '1s', BOOKINGS_PER_MINUTE: 1_000_000 }
  node = await startNode({ ...environment, DATABASE_URL: stores.Postgres.url })
  pool = new pg.Pool({ connectionString: stores.Postgres.ownUrl })
  db = database(pool)
  // A server that stands still, and one that is stopped, end connections.
  pool.on('error', () => {})
  folder = await mkdtemp(join(tmpdir(), 'parcels-courier-'))
  device = courier('c1', { url: node.url, folder, correlation: 'courier' })
})
afterAll(async () => {
  await device.device.close()
  await pool.end()
  await stores[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const book = (key: string, as = 'm1'): Promise<Answer> =>
  node.ask('POST', '/shipments', { key, as, id: key, body: { to: key, kg: 1 } })

testCells(parcelsOnPostgres, () => stores.Postgres, checksFor)

function checksFor(state: State): Record<keyof typeof parcelsOnPostgres, Check> {
  let first: Answer
  let id: string
  return {
    booking: {
      away: async () => expectRefusal(await book(`${state}-new`)),
      async back() {
        await served(() => book(`${state}-new`), 201)
        const rows = await client(node.url, db).rows(`${state}-new`)
        expect(rows).toEqual({ shipments: 1, answers: 1, events: 1, entries: 1 })
      },
    },
    repeat: {
      async before() {
        first = await served(() => book(`${state}-first`), 201)
        id = (JSON.parse(first.text) as { id: string }).id
      },
      away: async () => expectRefusal(await book(`${state}-first`)),
      async back() {
        const { text, headers } = await served(() => book(`${state}-first`), 201)
        expect([text, headers.get('idempotent-replayed')]).toEqual([first.text, 'true'])
      },
    },
    ownReads: {
      async away() {
        expectRefusal(await node.ask('GET', `/shipments/${id}`))
        expectRefusal(await node.ask('GET', '/shipments?limit=100'))
      },
      async back() {
        const { text } = await served(() => node.ask('GET', '/shipments?limit=100'), 200)
        expect(text).toContain(`"to":"${state}-new"`)
        await served(() => node.ask('GET', `/shipments/${id}`), 200)
      },
    },
    limit: {
      async away() {
        // m3 is on trial: three a minute.
        const answers = []
        for (let n = 0; n < 4; n++) answers.push(await book(`${state}-trial`, 'm3'))
        expect(answers.at(-1)!.status).toBe(429)
        for (const { headers } of answers) expect(headers.get('ratelimit')).toBeNull()
      },
      back: () =>
        holds('the shared count', async () => (await book(`${state}-first`)).headers.get('ratelimit') !== null),
    },
    sync: {
      async before() {
        await holds('the courier has the parcel', async () => {
          await device.device.sync()
          return (await device.parcels.get(id)) !== undefined
        })
      },
      async away() {
        expectRefusal(await node.ask('POST', '/sync/pull', { as: 'c1', body: { v: 1, cursor: null } }))
        const ops = [{ op: `${state}-1`, c: 'parcel', id, t: 'patch', h: stamp(), set: { note: 'x' } }]
        expectRefusal(await node.ask('POST', '/sync/push', { as: 'c1', body: { v: 1, client: 'd9', ops } }))
        await device.parcels.patch(id, { note: `written while it was ${state}` })
        await expect(device.device.sync()).rejects.toThrow()
        expect(device.device.pending().count).toBe(1)
      },
      async back() {
        await holds('nothing is pending', async () => {
          await device.device.sync()
          return device.device.pending().count === 0
        })
        const { rows } = await db.query('select note from parcels.shipments where id = $1', [id])
        expect(rows).toEqual([{ note: `written while it was ${state}` }])
      },
    },
    management: {
      async away() {
        expectRefusal(await node.ask('GET', '/webhooks/endpoints'))
        expectRefusal(await node.ask('POST', '/webhooks/endpoints', { body: { url: 'https://merchant.example/' } }))
        expectRefusal(await node.ask('GET', '/audit/entries', { as: 'a1' }))
        expectRefusal(await node.ask('DELETE', '/merchants/m2', { as: 'ops' }))
      },
      async back() {
        await served(() => node.ask('GET', '/webhooks/endpoints'), 200)
        await served(() => node.ask('GET', '/audit/entries', { as: 'a1' }), 200)
        await served(() => node.ask('DELETE', '/merchants/m2', { as: 'ops' }), 200)
      },
    },
    any: {
      async away() {
        expect((await node.ask('GET', '/health/live')).status).toBe(200)
        const ready = await node.ask('GET', '/health/ready')
        expect([ready.status, JSON.parse(ready.text)]).toMatchObject([200, { status: 'degraded' }])
        const ops = await node.ask('GET', '/ops/status', { as: 'ops' })
        expect([ops.status, JSON.parse(ops.text)]).toMatchObject([200, { state: 'down' }])
      },
      back: () =>
        holds('it is ready', async () => {
          const { text } = await node.ask('GET', '/health/ready')
          return (JSON.parse(text) as { status: string }).status === 'ok'
        }),
    },
  }
}

const stamp = (): string => `${Date.now().toString(36).padStart(9, '0')}-0000-d9`

test('the process has lived through all of it, and ends in order', async () => {
  expect(await node.end('SIGTERM')).toEqual([0, null])
})
