import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import pg from 'pg'
import { createClient, createClientPool, createCluster, createSentinel } from 'redis'
import { afterAll, expect, expectTypeOf, inject, test } from 'vitest'
import { isKeelsonError } from '../../src/index.ts'
import { redisPort, type IoredisLike, type NodeRedisLike, type RedisPort } from '../../src/redis/index.ts'

const away = { host: '127.0.0.1', port: 1 }
const lazy = { lazyConnect: true }
const pool = new pg.Pool()
afterAll(() => pool.end())

test.each<[string, IoredisLike | NodeRedisLike, Pick<RedisPort, 'client' | 'cluster'>]>([
  ['a Redis of ioredis 6', new Redis(lazy), { client: 'ioredis', cluster: false }],
  ['a Redis of ioredis 5', new Redis5(lazy), { client: 'ioredis', cluster: false }],
  ['a Cluster of ioredis 6', new Cluster([away], lazy), { client: 'ioredis', cluster: true }],
  ['a Cluster of ioredis 5', new Cluster5([away], lazy), { client: 'ioredis', cluster: true }],
  ['a client of node-redis', createClient(), { client: 'node-redis', cluster: false }],
  ['a view of such a client', createClient().withTypeMapping({ 36: Buffer }), { client: 'node-redis', cluster: false }],
  ['a pool of node-redis', createClientPool(), { client: 'node-redis', cluster: false }],
  [
    'a cluster of node-redis',
    createCluster({ rootNodes: [{ socket: away }] }),
    { client: 'node-redis', cluster: true },
  ],
  [
    'a Sentinel client of node-redis',
    createSentinel({ name: 'm', sentinelRootNodes: [away] }),
    { client: 'node-redis', cluster: false },
  ],
])('knows %s', (_, client, expected) => {
  const port = redisPort(client)
  expect(port).toMatchObject({ ...expected, sharded: true })
  expect(redisPort(client)).toBe(port)
  expect(redisPort(port)).toBe(port)
})

test('takes a port of another make as it is', () => {
  const port: RedisPort = { ...redisPort(new Redis(lazy)), client: 'custom' }
  expect(redisPort(port)).toBe(port)
})

test.each<[string, unknown, string]>([
  ['nothing', undefined, 'got undefined'],
  ['null', null, 'got null'],
  ['a URL, and does not show its password', 'redis://:secret@host', 'got a string'],
  ['a Pool', pool, 'got a BoundPool'],
  ['a client that is still being connected', Promise.resolve(), 'got a Promise'],
  ['a class', Redis, 'got a function'],
  ['options', away, 'got an object'],
  ['an object of no class', Object.create(null), 'got an object'],
  ['a list', [away], 'got an array of 1'],
  [
    'a prefix of ioredis',
    new Redis({ ...lazy, keyPrefix: 'app:' }),
    "keyPrefix, which would not reach every key (got 'app:')",
  ],
  [
    'a prefix of an ioredis 5 Cluster',
    new Cluster5([away], { ...lazy, redisOptions: { keyPrefix: 'a' } }),
    "(got 'a')",
  ],
  ['a prefix of node-redis', createClient({ keyPrefix: 'app:' }), "(got 'app:')"],
  ['a prefix of a node-redis cluster', createCluster({ rootNodes: [], keyPrefix: Buffer.from('a') }), 'keyPrefix'],
  ['a prefix of a node-redis pool', createClientPool({ keyPrefix: 'app:' }), "(got 'app:')"],
])('refuses %s', (_, client, message) => {
  const open = () => redisPort(client as never)
  expect(open).toThrow(message)
  try {
    open()
  } catch (error) {
    expect(isKeelsonError(error, 'OPTION_INVALID')).toBe(true)
    expect(String(error)).not.toContain('secret')
  }
})

test('the types admit every client that is promised, and nothing else', () => {
  expectTypeOf<Redis>().toExtend<IoredisLike>()
  expectTypeOf<Redis5>().toExtend<IoredisLike>()
  expectTypeOf<Cluster>().toExtend<IoredisLike>()
  expectTypeOf<Cluster5>().toExtend<IoredisLike>()
  expectTypeOf<Redis<'resp3'>>().toExtend<IoredisLike>()
  expectTypeOf<ReturnType<typeof createClient>>().toExtend<NodeRedisLike>()
  expectTypeOf<ReturnType<typeof createClient<{}, {}, {}, 2>>>().toExtend<NodeRedisLike>()
  expectTypeOf<ReturnType<typeof createClientPool>>().toExtend<NodeRedisLike>()
  expectTypeOf<ReturnType<typeof createCluster>>().toExtend<NodeRedisLike>()
  expectTypeOf<ReturnType<typeof createSentinel>>().toExtend<NodeRedisLike>()
  expectTypeOf<pg.Pool>().not.toExtend<IoredisLike | NodeRedisLike | RedisPort>()
  expectTypeOf<Promise<Redis>>().not.toExtend<IoredisLike | NodeRedisLike | RedisPort>()
  expectTypeOf<undefined>().not.toExtend<IoredisLike | NodeRedisLike | RedisPort>()
})

test('the user’s client is left as it was: not connected, not listened to, not closed', async () => {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  const ioredis = new Redis({ ...lazy, host, port: Number(port), retryStrategy: null })
  const nodeRedis = createClient({ url: inject('redisUrl'), socket: { reconnectStrategy: false } })
  for (const client of [ioredis, nodeRedis]) {
    const names = () => client.eventNames().map((name) => [name, client.listenerCount(name)])
    const before = names()
    const redis = redisPort(client)
    const subscription = await redis.subscribe('a', () => {})
    if (client === ioredis) expect(ioredis.status).toBe('wait')
    else expect(nodeRedis.isOpen).toBe(false)
    await subscription.close()
    expect(names()).toEqual(before)
  }
})
