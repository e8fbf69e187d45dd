import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest'
import { askPostgres } from '../servers/ask-postgres.ts'
import { askRedis } from '../servers/ask-redis.ts'
import setup from '../services.ts'

const urls = { DATABASE_URL: inject('databaseUrl'), REDIS_URL: inject('redisUrl') }
const NOWHERE = { DATABASE_URL: 'postgres://postgres@127.0.0.1:1/postgres', REDIS_URL: 'redis://127.0.0.1:1' }
const variables = ['DATABASE_URL', 'REDIS_URL'] as const

let temp: string

/** Folders of servers; the template of PGlites is kept for the next run. */
const started = async (): Promise<string[]> =>
  (await readdir(temp)).filter((name) => !name.startsWith('keelson-pglite-'))

beforeEach(async () => {
  for (const name of variables) vi.stubEnv(name, urls[name])
  temp = await mkdtemp(join(tmpdir(), 'keelson-services-'))
  await chmod(temp, 0o755) // as root, servers run as another user
  vi.stubEnv('TMPDIR', temp)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await rm(temp, { recursive: true, force: true })
})

it('gives every test file a database and a Redis that answer', async () => {
  expect(await askPostgres(inject('databaseUrl'), 'select 40 + 2')).toBe(42)
  expect(await askRedis(inject('redisUrl'), 'ECHO', 'there')).toBe('there')
})

it('takes the servers that DATABASE_URL and REDIS_URL name', async () => {
  const provide = vi.fn()
  const stop = await setup({ provide } as never)
  expect(provide.mock.calls).toEqual([
    ['databaseUrl', urls.DATABASE_URL],
    ['redisUrl', urls.REDIS_URL],
  ])
  await stop()
  expect(await askPostgres(urls.DATABASE_URL, 'select 1'), 'it is not ours to stop').toBe(1)
  expect(await askRedis(urls.REDIS_URL, 'PING'), 'it is not ours to stop').toBe('PONG')
})

it.each(variables)('fails when the server that %s names does not answer', async (name) => {
  vi.stubEnv(name, NOWHERE[name])
  const failure: unknown = await setup({ provide: vi.fn() } as never).catch((error: unknown) => error)
  expect(failure).toMatchObject({
    message: `${name} is set, but its server does not answer`,
    cause: { code: 'ECONNREFUSED' },
  })
})

it('starts what no variable names, and stops it again', async () => {
  vi.stubEnv('REDIS_URL', '')
  const provide = vi.fn()
  const stop = await setup({ provide } as never)
  const [, [, url]] = provide.mock.calls as [[string, string], [string, string]]
  expect(url).not.toBe(urls.REDIS_URL)
  expect(await askRedis(url, 'PING')).toBe('PONG')
  expect(await started()).toHaveLength(1)
  await stop()
  await expect(askRedis(url, 'PING')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect(await started()).toEqual([])
})

it('stops what it started when another server fails', async () => {
  vi.stubEnv('REDIS_URL', '')
  vi.stubEnv('DATABASE_URL', NOWHERE.DATABASE_URL)
  await expect(setup({ provide: vi.fn() } as never)).rejects.toThrow('DATABASE_URL is set')
  expect(await started()).toEqual([])
})

it('fails and names the ways out when there is no Redis and no way to get one', async () => {
  vi.stubEnv('REDIS_URL', '')
  vi.stubEnv('PATH', temp) // no redis-server, no docker, and nothing that could install
  vi.spyOn(console, 'error').mockReturnValue()
  await expect(setup({ provide: vi.fn() } as never)).rejects.toThrow(
    /^The tests need Redis \(.+\); Docker does not answer\. Three ways out: install Redis, start Docker, or set REDIS_URL /,
  )
})
