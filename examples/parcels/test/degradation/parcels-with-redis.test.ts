import { database } from '@keelson/kernel/postgres'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { client } from '../../src/client.ts'
import { shared } from '../shared.ts'
import { parcelsWithoutPostgres, parcelsWithoutRedis } from './cells.ts'
import { startNode, type Answer, type Node } from './node.ts'
import { openStores, type State, type Stores } from './stores.ts'
import { expectRefusal, holds, served, testCells, type Check } from './test-cells.ts'

let stores: Stores
let nodes: readonly [Node, Node]
let pool: pg.Pool

beforeAll(async () => {
  stores = await openStores()
  const environment = { ...shared, STORE_TIMEOUT: '1s', BOOKINGS_PER_MINUTE: 1_000_000 }
  const open = () => startNode({ ...environment, DATABASE_URL: stores.Postgres.url, REDIS_URL: stores.Redis.url })
  nodes = [await open(), await open()]
  pool = new pg.Pool({ connectionString: stores.Postgres.ownUrl })
  pool.on('error', () => {})
})
afterAll(async () => {
  await pool.end()
  await stores[Symbol.asyncDispose]()
})

const book = (key: string, as = 'm1'): Promise<Answer> =>
  nodes[0].ask('POST', '/shipments', { key, as, id: key, body: { to: key, kg: 1 } })
const list = (node: Node, limit = 100): Promise<Answer> => node.ask('GET', `/shipments?limit=${limit}`)
const cacheStatus = ({ headers }: Answer): string => headers.get('cache-status') ?? ''
const rows = (key: string) => client(nodes[0].url, database(pool)).rows(key)

async function dropsLeft(): Promise<number> {
  const { rows } = await pool.query<{ left: number }>('select count(*)::integer as left from keelson.cache_drop')
  return rows[0]!.left
}

/** Both nodes answer out of the cache, and never without what was booked. */
async function hits(key: string): Promise<void> {
  for (const node of nodes)
    await holds('a hit', async () => {
      const answer = await list(node)
      expect(answer.text).toContain(`"to":"${key}"`)
      return cacheStatus(answer).includes('; hit')
    })
}

describe('without Redis', () => {
  testCells(parcelsWithoutRedis, () => stores.Redis, withoutRedis)
})
describe('without Postgres', () => {
  testCells(parcelsWithoutPostgres, () => stores.Postgres, withoutPostgres)
})

function withoutRedis(state: State): Record<keyof typeof parcelsWithoutRedis, Check> {
  const [before, during] = [`redis-${state}-before`, `redis-${state}-during`]
  return {
    booking: {
      async before() {
        await served(() => book(before), 201)
        await hits(before)
      },
      away: () => served(() => book(during), 201),
      // Whatever is read from now on, the old list is in nobody's memory, and not in Redis.
      back: () => hits(during),
    },
    list: {
      async away() {
        for (const node of nodes) {
          const answer = await served(() => list(node), 200)
          expect(answer.text).toContain(`"to":"${during}"`)
          expect(cacheStatus(answer)).toContain('fwd=bypass')
        }
      },
      back: () => hits(during),
    },
    limit: {
      async away() {
        // m3 is on trial: three a minute.
        for (let n = 0; n < 3; n++) await book(`redis-${state}-trial`, 'm3')
        const refused = await book(`redis-${state}-trial`, 'm3')
        expect([refused.status, refused.headers.get('ratelimit')]).toEqual([429, null])
      },
      back: () => holds('the shared count', async () => (await book(before)).headers.get('ratelimit') !== null),
    },
    any: {
      async away() {
        for (const path of ['live', 'ready']) expect((await nodes[0].ask('GET', `/health/${path}`)).status).toBe(200)
        expect(await stateOf()).toBe('degraded')
      },
      back: () => holds('all is well', async () => (await stateOf()) === 'ok'),
    },
  }
}

function withoutPostgres(state: State): Record<keyof typeof parcelsWithoutPostgres, Check> {
  const [before, during] = [`postgres-${state}-before`, `postgres-${state}-during`]
  return {
    booking: {
      async before() {
        await served(() => book(before), 201)
        // Until its row is deleted, a relay may drop the list once more.
        await holds('every drop is done', async () => (await dropsLeft()) === 0)
        await hits(before)
      },
      away: async () => expectRefusal(await book(during)),
      async back() {
        await served(() => book(during), 201)
        expect(await rows(during)).toEqual({ shipments: 1, answers: 1, events: 1, entries: 1 })
      },
    },
    cachedList: {
      async away() {
        for (const node of nodes) {
          const answer = await served(() => list(node), 200)
          expect(cacheStatus(answer)).toContain('; hit')
          expect(answer.text).toContain(`"to":"${before}"`)
        }
      },
      back: () => hits(during),
    },
    loadedList: {
      away: async () => expectRefusal(await list(nodes[0], 99)),
      back: () => served(() => list(nodes[0], 99), 200),
    },
  }
}

async function stateOf(): Promise<string> {
  const { text } = await nodes[0].ask('GET', '/ops/status', { as: 'ops' })
  return (JSON.parse(text) as { state: string }).state
}

test('the processes have lived through all of it, and end in order', async () => {
  expect(await Promise.all(nodes.map((node) => node.end('SIGTERM')))).toEqual([
    [0, null],
    [0, null],
  ])
})
