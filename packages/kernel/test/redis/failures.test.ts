/** What calls reject with when the client or the server fails: each is a failure of the store to a guard. */
import { randomUUID } from 'node:crypto'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { createClient, createClientPool, createCluster } from 'redis'
import { afterAll, describe, expect, test } from 'vitest'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { isStoreFailure } from '../../src/index.ts'
import { defineScript, redisPort, type IoredisLike, type NodeRedisLike } from '../../src/redis/index.ts'
import { families } from './clients.ts'

/** Nobody listens there, and nobody ever will: freePort() is for servers of ours. */
const away = { host: '127.0.0.1', port: 1 }
const server = await startRedis()
afterAll(() => server.stop())

type Client = (IoredisLike | NodeRedisLike) & { on(event: 'error', fn: () => void): unknown }

/** What a GET rejects with. */
async function failureOf(client: Client): Promise<Error> {
  client.on('error', () => {})
  return redisPort(client)
    .command('k', ['GET', 'k'])
    .then(
      (reply) => new Error(`answered ${String(reply)}`),
      (error: unknown) => error as Error,
    )
}

function closed<C extends { disconnect(): void }>(client: C): C {
  client.disconnect()
  return client
}

describe.each<[string, typeof Redis, typeof Cluster]>([
  ['6', Redis, Cluster],
  ['5', Redis5 as never, Cluster5 as never],
])('ioredis %s', (_, Redis, Cluster) => {
  test.each<[string, () => Redis | Cluster, RegExp]>([
    ['has given up', () => new Redis({ ...away, maxRetriesPerRequest: 0 }), /^Reached the max retries per request/],
    ['may not wait', () => new Redis({ ...away, enableOfflineQueue: false }), /^Stream isn't writeable/],
    ['does not reconnect', () => new Redis({ ...away, retryStrategy: null }), /^Connection is closed\.$/],
    ['waits so long only', () => new Redis({ ...away, commandTimeout: 20 }), /^Command timed out$/],
    [
      'finds no Sentinel',
      () => new Redis({ sentinels: [away], name: 'm', sentinelRetryStrategy: () => null }),
      /^All sent/,
    ],
    ['finds no cluster', () => new Cluster([away], { clusterRetryStrategy: () => null }), /^None of startup nodes/],
    ['has been closed', () => closed(new Redis({ lazyConnect: true })), /^Connection is closed\.$/],
    ['was closed as a cluster', () => closed(new Cluster([away], { lazyConnect: true })), /^Connection is closed\.$/],
  ])('that %s', async (_, make, message) => {
    const client = make()
    const error = await failureOf(client)
    client.disconnect()
    expect(error.message).toMatch(message)
    expect(isStoreFailure(error)).toBe(true)
  })

  test('whose connection is lost for good', async () => {
    await using proxy = await startFaultProxy(server)
    const client = new Redis({ host: proxy.host, port: proxy.port, retryStrategy: null })
    await redisPort(client).command(null, ['PING'])
    proxy.freeze()
    const failing = failureOf(client)
    proxy.resetAll()
    const error = await failing
    expect(error.message).toBe('Connection is closed.')
    expect(isStoreFailure(error)).toBe(true)
  })

  test('whose connection is lost between two replies of a pipeline', async () => {
    await using proxy = await startFaultProxy(server)
    const client = new Redis({ host: proxy.host, port: proxy.port })
    client.on('error', () => {})
    let heard = ''
    client.once('connect', () => client.stream.on('data', (chunk: Buffer) => (heard += chunk.toString())))
    const key = randomUUID()
    const failing = redisPort(client).pipeline(key, [['PING'], ['BLPOP', key, 30]])
    // Without any reply ioredis would send the whole pipeline again.
    await until('PING is answered', 60_000, async () => heard.includes('PONG') || undefined)
    await until(
      'BLPOP waits',
      60_000,
      async () =>
        String(await askRedis(server.url, 'CLIENT', 'LIST', 'TYPE', 'NORMAL')).includes('cmd=blpop') || undefined,
    )
    proxy.resetAll()
    const error = await failing.then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    client.disconnect()
    expect(error?.message).toBe('Command aborted due to connection close')
    expect(isStoreFailure(error)).toBe(true)
  })
})

describe('node-redis 6', () => {
  test('that was never connected', async () => {
    for (const client of [createClient(), createClientPool(), createCluster({ rootNodes: [{ socket: away }] })]) {
      const error = await failureOf(client)
      expect(error.message).toBe('The client is closed')
      expect(isStoreFailure(error)).toBe(true)
    }
  })

  test.each<[string, object, (client: { destroy(): void }) => unknown, RegExp]>([
    ['may not wait', { disableOfflineQueue: true }, () => {}, /^The client is offline$/],
    ['waits so long only', { commandOptions: { timeout: 20 } }, () => {}, /^$/],
    ['is closed while a call waits', {}, (client) => client.destroy(), /^Disconnects client$/],
  ])('that %s', async (_, options, harm, message) => {
    const client = createClient({ ...options, socket: away })
    client.on('error', () => {})
    const connecting = client.connect().catch(() => {})
    const failing = failureOf(client)
    harm(client)
    const error = await failing
    client.destroy()
    await connecting
    expect(error.message).toMatch(message)
    expect(isStoreFailure(error)).toBe(true)
  })

  test('whose connection is lost', async () => {
    await using own = await startRedis()
    const client = createClient({ url: own.url })
    client.on('error', () => {})
    await client.connect()
    own.freeze()
    const failing = failureOf(client)
    await own.kill()
    const error = await failing
    client.destroy()
    expect(error.message).toMatch(/^Socket closed unexpectedly$|ECONNRESET/)
    expect(isStoreFailure(error)).toBe(true)
  })

  test('that finds no cluster', async () => {
    const cluster = createCluster({ rootNodes: [{ socket: { ...away, reconnectStrategy: false } }] })
    cluster.on('error', () => {})
    const error = await cluster.connect().then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    expect(error?.message).toBe('All the root nodes are unavailable')
    expect(isStoreFailure(error)).toBe(true)
  })

  test('with too much to do is not a failure of the store', async () => {
    const client = createClient({ url: server.url, commandsQueueMaxLength: 10 })
    const pool = createClientPool({ url: server.url }, { maximum: 1, acquireTimeout: 20 })
    for (const each of [client, pool]) {
      each.on('error', () => {})
      await each.connect()
    }
    const busy = redisPort(pool).command(null, ['BLPOP', 'nothing', 60])
    const pings = redisPort(client).pipeline(
      '',
      Array.from({ length: 10 }, () => ['PING']),
    )
    for (const [each, message] of [
      [client, 'The queue is full'],
      [pool, 'Timeout waiting for a client after 20ms'],
    ] as const) {
      const error = await failureOf(each)
      expect([error.message, isStoreFailure(error)]).toEqual([message, false])
    }
    await pings
    await redisPort(client).command(null, ['RPUSH', 'nothing', 'something'])
    await busy
    client.destroy()
    pool.destroy()
  })
})

describe.each(Object.entries(families))('%s on a server', (_, open) => {
  const write = defineScript(`return redis.call('SET', KEYS[1], 'a')`)
  const config = (name: string, value: string | number) => askRedis(server.url, 'CONFIG', 'SET', name, value)

  test.each<[string, () => Promise<unknown>, () => Promise<unknown>, 'SET' | 'GET']>([
    ['OOM', () => config('maxmemory', 1), () => config('maxmemory', 0), 'SET'],
    ['NOREPLICAS', () => config('min-replicas-to-write', 1), () => config('min-replicas-to-write', 0), 'SET'],
    [
      'READONLY',
      () => askRedis(server.url, 'REPLICAOF', away.host, away.port),
      () => askRedis(server.url, 'REPLICAOF', 'NO', 'ONE'),
      'SET',
    ],
    [
      'MASTERDOWN',
      async () => [
        await config('replica-serve-stale-data', 'no'),
        await askRedis(server.url, 'REPLICAOF', away.host, away.port),
      ],
      async () => [
        await askRedis(server.url, 'REPLICAOF', 'NO', 'ONE'),
        await config('replica-serve-stale-data', 'yes'),
      ],
      'GET',
    ],
  ])('that answers %s', async (code, harm, mend, command) => {
    await using opened = await open(server.url)
    const { port } = opened
    await port.script(write, ['k'], [])
    await harm()
    const calls = [
      port.command('k', command === 'GET' ? ['GET', 'k'] : ['SET', 'k', 'a']),
      ...(command === 'GET' ? [] : [port.script(write, ['k'], [])]),
    ]
    const answers = await Promise.allSettled(calls)
    await mend()
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(`^${code} `) } })
      expect(isStoreFailure((answer as PromiseRejectedResult).reason)).toBe(true)
    }
  })

  test('that is busy with a script', async () => {
    await config('busy-reply-threshold', 10)
    await using opened = await open(server.url)
    await using other = await open(server.url)
    const endless = opened.port.command(null, ['EVAL', 'while true do end', 0]).catch((error: unknown) => error)
    const error = await until('BUSY', 60_000, () =>
      other.port.command('k', ['GET', 'k']).then(
        () => undefined,
        (error: unknown) => error as Error,
      ),
    )
    await other.port.command(null, ['SCRIPT', 'KILL'])
    expect(error.message).toMatch(/^BUSY /)
    expect(isStoreFailure(error)).toBe(true)
    expect(isStoreFailure(await endless)).toBe(false)
  })
})
