import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import { createClient, createCluster } from 'redis'
import { afterAll, inject } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import type { IoredisLike, NodeRedisLike } from '@keelson/kernel/redis'
import { startRedisCluster, type RedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { memoryStore, type LimiterStore } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

/** A store on its real server, with nothing of another test in it. */
export interface OpenStore extends AsyncDisposable {
  readonly store: LimiterStore
}

/** Every store that this package has. */
export const stores: Record<string, () => Promise<OpenStore>> = {
  memory: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }),
  'Redis, ioredis': async () => {
    const client = new Redis(inject('redisUrl'))
    return overRedis(client, () => client.disconnect())
  },
  'Redis, node-redis': async () => {
    const client = await createClient({ url: inject('redisUrl') }).connect()
    return overRedis(client, () => client.destroy())
  },
  'Redis Cluster, ioredis': async () => {
    const client = new Cluster([...(await sharedCluster()).nodes])
    return overRedis(client, () => client.disconnect())
  },
  'Redis Cluster, node-redis': async () => {
    const { nodes } = await sharedCluster()
    const client = await createCluster({ rootNodes: nodes.map((socket) => ({ socket })) }).connect()
    return overRedis(client, () => client.destroy())
  },
  PGlite: async () => {
    const db = new PGlite()
    const store = postgresStore(db)
    await migrate(db, [store])
    return { store, [Symbol.asyncDispose]: () => db.close() }
  },
  Postgres: async () => {
    const db = new pg.Pool({ connectionString: inject('databaseUrl') })
    const schema = `limiter_${randomBytes(6).toString('hex')}`
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

function overRedis(client: IoredisLike | NodeRedisLike, disconnect: () => void): OpenStore {
  const store = redisStore(client, { prefix: `limiter_${randomBytes(6).toString('hex')}` })
  return { store, [Symbol.asyncDispose]: async () => disconnect() }
}

/** One for all stores of a test file. */
let cluster: Promise<RedisCluster> | undefined
function sharedCluster(): Promise<RedisCluster> {
  return (cluster ??= startRedisCluster())
}
afterAll(async () => (await cluster)?.stop())
