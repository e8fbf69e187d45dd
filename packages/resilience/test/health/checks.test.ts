import { tmpdir } from 'node:os'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import type { Database, Status } from '@keelson/kernel'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { checks, type Check } from '../../src/health/index.ts'

const ask = async ({ check }: Check): Promise<unknown> => check(new AbortController().signal)

test('database: a pg Pool, its connections given back; a PGlite; a Database wrapped by hand', async () => {
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  await Promise.all([1, 2, 3].map(() => ask(checks.database(pool))))
  expect([pool.totalCount, pool.idleCount]).toEqual([1, 1])
  const asked: string[] = []
  const query: Database['query'] = (text: string) => {
    asked.push(text)
    return pool.query(text)
  }
  const byHand: Database = { query, transaction: (work) => work({ raw: undefined, query }) }
  await ask(checks.database(byHand))
  expect(asked).toEqual(['select 1'])
  await pool.end()
  await expect(ask(checks.database(pool))).rejects.toThrow(/after calling end/)
  const lite = new PGlite()
  await ask(checks.database(lite))
  await lite.close()
  await expect(ask(checks.database(lite))).rejects.toThrow(/closed/)
})

test('database: a Postgres that is killed fails the check and leaves the pool usable', async () => {
  await using server = await startPostgres()
  const pool = new pg.Pool({ connectionString: server.url, max: 1 })
  pool.on('error', () => {})
  await ask(checks.database(pool))
  await server.kill()
  await expect(ask(checks.database(pool))).rejects.toThrow()
  await server.restart()
  await ask(checks.database(pool))
  await pool.end()
})

test('redis: PING', async () => {
  const client = new Redis(inject('redisUrl'))
  await ask(checks.redis(client))
  client.disconnect()
  await expect(ask(checks.redis(client))).rejects.toThrow(/closed/i)
})

test('memory: bytes that the process holds', async () => {
  await ask(checks.memory({ maxRss: 2 ** 40 }))
  await expect(ask(checks.memory({ maxRss: 1 }))).rejects.toThrow(/^\d+ bytes held, over 1$/)
})

test('disk: bytes that are free', async () => {
  await ask(checks.disk({ path: tmpdir(), minFree: 1 }))
  await expect(ask(checks.disk({ path: tmpdir(), minFree: 2 ** 52 }))).rejects.toThrow(/^\d+ bytes free, under/)
  await expect(ask(checks.disk({ path: '/no/such/folder', minFree: 1 }))).rejects.toThrow(/ENOENT/)
})

test('component: only down fails, with its last error', async () => {
  const status = (state: Status['state'], more: Partial<Status> = {}) => ({
    inspect: async (): Promise<Status> => ({ name: 'cache', state, counts: {}, ...more }),
  })
  await ask(checks.component(status('ok')))
  await ask(checks.component(status('degraded')))
  await expect(ask(checks.component(status('down')))).rejects.toThrow('it is down')
  const lastError = { code: 'STORE_UNAVAILABLE', at: 0, message: 'Redis is away' }
  await expect(ask(checks.component(status('down', { lastError })))).rejects.toThrow('Redis is away')
})

test('each refuses what it cannot ask, when it is made', () => {
  const refused = expect.objectContaining({ name: 'ResilienceError', code: 'OPTION_INVALID' })
  for (const [make, message] of [
    [() => checks.database(undefined as never), /checks\.database: .*"db" must be a pg Pool/],
    [() => checks.database(new pg.Client() as never), /pass a Pool/],
    [() => checks.redis({} as never), /checks\.redis: /],
    [() => checks.memory({} as never), /"maxRss" is required/],
    [() => checks.memory({ maxRss: 0.5 }), /"maxRss" must be an integer/],
    [() => checks.disk({ path: '', minFree: 1 }), /"path" must be/],
    [() => checks.disk({ path: '/', minFree: -1 }), /"minFree" must be an integer/],
    [() => checks.component({} as never), /inspect\(\)/],
  ] as const) {
    expect(make).toThrow(message)
    expect(make).toThrow(refused)
  }
})
