import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import { createClient, createCluster } from 'redis'
import { afterAll, inject } from 'vitest'
import { memoryStore } from '@keelson/cache'
import type { CacheStoreUnderTest } from '@keelson/cache/conformance'
import { postgresStore } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { migrate } from '@keelson/kernel/postgres'
import type { IoredisLike, NodeRedisLike } from '@keelson/kernel/redis'
import { startRedisCluster, type RedisCluster } from '../../../tools/servers/redis-cluster.ts'

/** A store on its real server, and what can be done to it. */
export interface OpenStore extends CacheStoreUnderTest, AsyncDisposable {}

/** Every store that this package has. */
export const stores: Record<string, () => Promise<OpenStore>> = {
  memory: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }),
  'Redis, ioredis': async () => {
    const client = new Redis(inject('redisUrl'), { connectionName: someSpace() })
    const { connectionName } = client.options
    const opened = overRedis(client, client, () => client.disconnect())
    return {
      ...opened,
      async cut() {
        const clients = (await client.client('LIST', 'TYPE', 'PUBSUB')) as string
        const mine = clients.split('\n').filter((line) => line.includes(` name=${connectionName} `))
        for (const line of mine) await client.client('KILL', 'ID', /\bid=(\d+)/.exec(line)![1]!)
      },
    }
  },
  'Redis, node-redis': async () => {
    const client = await createClient({ url: inject('redisUrl') }).connect()
    const own = new Redis(inject('redisUrl'))
    return overRedis(client, own, () => {
      client.destroy()
      own.disconnect()
    })
  },
  'Redis Cluster, ioredis': async () => {
    const client = new Cluster([...(await sharedCluster()).nodes])
    return overRedis(client, client, () => client.disconnect())
  },
  'Redis Cluster, node-redis': async () => {
    const { nodes } = await sharedCluster()
    const client = await createCluster({ rootNodes: nodes.map((socket) => ({ socket })) }).connect()
    const own = new Cluster([...nodes])
    return overRedis(client, own, () => {
      client.destroy()
      own.disconnect()
    })
  },
  PGlite: async () => {
    const db = new PGlite()
    const store = postgresStore(db)
    await migrate(db, [store])
    return { store, [Symbol.asyncDispose]: () => db.close() }
  },
  Postgres: async () => {
    const db = new pg.Pool({ connectionString: inject('databaseUrl') })
    db.on('error', () => {})
    const schema = someSpace()
    const store = postgresStore(db, { schema })
    await migrate(db, [store])
    return {
      store,
      async [Symbol.asyncDispose]() {
        await db.query(`drop schema ${schema} cascade`)
        await db.end()
      },
    }
  },
}

const OF_REDIS = ['bodies', 'members', 'wakes', 'keeps', 'lose']
/** What the suite's words say of each of them. */
export const abilities: Record<string, readonly string[]> = {
  memory: ['values', 'bodies'],
  'Redis, ioredis': [...OF_REDIS, 'cut'],
  'Redis, node-redis': OF_REDIS,
  'Redis Cluster, ioredis': OF_REDIS,
  'Redis Cluster, node-redis': OF_REDIS,
  PGlite: ['bodies', 'keeps'],
  Postgres: ['bodies', 'keeps'],
}

/** `own` does to the server what the store must survive. */
function overRedis(client: IoredisLike | NodeRedisLike, own: Redis | Cluster, disconnect: () => void): OpenStore {
  const prefix = someSpace()
  return {
    store: redisStore(client, { prefix }),
    async lose(name, what) {
      const base = `${prefix}:{${name}.0}:`
      if (what !== 'members') await own.del(`${base}s`)
      if (what !== 'state') await own.del(`${base}n`)
      if (what !== 'all') return
      const masters = own instanceof Cluster ? own.nodes('master') : [own]
      for (const master of masters) {
        const keys = await master.keys(`${base}*`)
        if (keys.length > 0) await own.del(...keys)
      }
    },
    async [Symbol.asyncDispose]() {
      disconnect()
    },
  }
}

const someSpace = (): string => `cache_${randomBytes(6).toString('hex')}`

/** One for all stores of a test file. */
let cluster: Promise<RedisCluster> | undefined
function sharedCluster(): Promise<RedisCluster> {
  return (cluster ??= startRedisCluster())
}
afterAll(async () => (await cluster)?.stop())
