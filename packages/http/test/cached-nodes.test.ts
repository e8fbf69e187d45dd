import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { createCache, type CacheOptions, type Caches } from '@keelson/cache'
import { postgresLog } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { created, createHttp, problem, type RoutePolicy } from '@keelson/http'
import type { Kind, PlanRoute, Served } from '@keelson/http/conformance'
import type { DatabaseLike } from '@keelson/kernel/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { startRedis, stopAtOnce, type RedisServer } from '../../../tools/servers/redis.ts'
import { expressSubject } from '../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../adapters-express/test/support.ts'
import { fastifySubject } from '../../adapters-fastify/test/fastify-subject.ts'

interface Counted extends PlanRoute {
  runs: number
}

function counted(kind: Kind, path: string, policy: RoutePolicy, more: Partial<PlanRoute> = {}): Counted {
  const made: Counted = {
    method: 'GET',
    path,
    kind,
    policy,
    runs: 0,
    async enter() {
      made.runs++
    },
    async *pieces() {},
    ...more,
  }
  return made
}

const read = (): Counted => counted('text', '/read', { cached: { ttl: '10m', per: 'scope', tags: ['texts'] } })
const write = (): Counted => counted('json', '/write', { invalidates: ['texts'] }, { method: 'POST' })

/** What a client sees. */
async function ask({ url }: Served, { method, path }: PlanRoute, etag?: string) {
  const answer = await fetch(url + path, {
    method,
    ...(etag === undefined ? {} : { headers: { 'If-None-Match': etag } }),
  })
  const body = await answer.text()
  return { status: answer.status, body, etag: answer.headers.get('etag')!, said: answer.headers.get('cache-status') }
}

describe.each([expressSubject(frameworks[0]!), fastifySubject])('two nodes behind $name', (subject) => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function node(
    url: string,
    routes: readonly PlanRoute[],
    { db, ...o }: Partial<CacheOptions> & { db?: DatabaseLike } = {},
  ): Promise<{ site: Served; caches: Caches }> {
    const client = new Redis(url, { retryStrategy: () => 50 })
    client.on('error', () => {})
    // What is tested must not depend on how long the machine stands still: a load whose lease is over is made again,
    // so is one of a node that applies the log again, and one that another node takes for dead.
    const fixed = { storeTimeout: '10s', lease: '5s', lockTtl: '1m', jitter: 0, early: 0 } as const
    const caches = createCache({ name: 'http', store: redisStore(client), ...fixed, ...o })
    await caches.start()
    const http = createHttp({ cache: caches, scope: () => 'm1', ...(db === undefined ? {} : { db }) })
    const site = await subject.start(routes, http)
    ends.push(
      () => client.disconnect(),
      () => caches.close(),
      () => site.close(),
    )
    return { site, caches }
  }

  describe('over one Redis', () => {
    it('what one has cached the other gives; behind a write’s answer neither gives older data', async () => {
      const name = `t${randomBytes(6).toString('hex')}`
      const [mine, other, writer] = [read(), read(), write()]
      const one = await node(inject('redisUrl'), [mine, writer], { name })
      const two = await node(inject('redisUrl'), [other], { name })
      const first = await ask(one.site, mine)
      expect(await ask(two.site, other)).toMatchObject({ status: 200, body: first.body, etag: first.etag })
      expect(await ask(two.site, other, first.etag)).toMatchObject({ status: 304, body: '', etag: first.etag })
      expect([mine.runs, other.runs]).toEqual([1, 0])
      for (let round = 1; round <= 5; round++) {
        expect((await ask(one.site, writer)).status).toBe(201)
        await ask(two.site, other, first.etag)
        await ask(one.site, mine, first.etag)
        expect([mine.runs, other.runs]).toEqual([1, round])
      }
    })

    it('many nodes load an answer once', async () => {
      const name = `t${randomBytes(6).toString('hex')}`
      const routes = [read(), read()]
      const nodes = [
        await node(inject('redisUrl'), [routes[0]!], { name }),
        await node(inject('redisUrl'), [routes[1]!], { name }),
      ]
      await Promise.all(Array.from({ length: 40 }, async (_, i) => ask(nodes[i % 2]!.site, routes[i % 2]!)))
      expect(routes[0]!.runs + routes[1]!.runs).toBe(1)
    })

    it('a transactional write drops with its rows, through the log of its database', async () => {
      const name = `t${randomBytes(6).toString('hex')}`
      const schema = `http_${randomBytes(6).toString('hex')}`
      const db = new pg.Pool({ connectionString: inject('databaseUrl') })
      const log = postgresLog(db, { schema })
      await migrate(db, [log])
      await db.query(`create table ${schema}.orders (id integer primary key)`)
      const [mine, other] = [read(), read()]
      let fails = false
      const writer = counted(
        'work',
        '/work',
        { invalidates: ['texts'] },
        {
          method: 'POST',
          async work(tx) {
            await tx.query(`insert into ${schema}.orders select count(*) from ${schema}.orders`)
            if (fails) throw problem(409, 'taken')
            return created({ id: 7 })
          },
        },
      )
      const work = { ...writer, policy: { ...writer.policy, transactional: true } }
      const one = await node(inject('redisUrl'), [mine, work], { name, log, db })
      const two = await node(inject('redisUrl'), [other], { name, log })
      ends.unshift(async () => {
        await db.query(`drop schema ${schema} cascade`)
        await db.end()
      })
      const first = await ask(two.site, other)
      fails = true
      expect((await ask(one.site, work)).status).toBe(409)
      expect(await ask(two.site, other, first.etag)).toMatchObject({ status: 304, said: 'keelson; hit' })
      fails = false
      expect((await ask(one.site, work)).status).toBe(201)
      await ask(two.site, other, first.etag)
      await ask(one.site, mine, first.etag)
      expect([mine.runs, other.runs]).toEqual([0, 2])
      expect((await db.query(`select * from ${schema}.orders`)).rows).toEqual([{ id: 0 }])
    })
  })

  describe('a Redis that goes away', () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await startRedis({ settings: { appendonly: 'yes', appendfsync: 'always' } })
    })
    afterAll(() => stopAtOnce(server))

    it('handlers answer, writes succeed, and when it is back nothing is older than they', async () => {
      const [mine, other, writer] = [read(), read(), write()]
      const o = { name: 'gone', storeTimeout: '5s' } as const
      const one = await node(server.url, [mine, writer], o)
      const two = await node(server.url, [other], o)
      const first = await ask(one.site, mine)
      await ask(two.site, other)
      expect([mine.runs, other.runs]).toEqual([1, 0])

      await server.kill()
      const wrote = await ask(one.site, writer)
      expect([wrote.status, writer.runs]).toEqual([201, 1])
      expect(await ask(one.site, mine)).toMatchObject({ status: 200, body: first.body, said: 'keelson; fwd=bypass' })
      expect(await ask(one.site, mine, first.etag)).toMatchObject({ status: 304, said: 'keelson; fwd=bypass' })
      expect(mine.runs).toBe(3)

      await server.restart()
      await vi.waitFor(
        async () => {
          const { said } = await ask(one.site, mine)
          expect(said).toMatch(/stored$|hit/)
        },
        { timeout: 60_000, interval: 50 },
      )
      await vi.waitFor(async () => expect((await ask(two.site, other)).said).toMatch(/hit/), {
        timeout: 60_000,
        interval: 50,
      })
      expect(mine.runs).toBeGreaterThanOrEqual(4)
    })
  })
})
