import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import type pg from 'pg'
import { migrate } from '@keelson/kernel/postgres'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { LimiterStore } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'
import { patientPool } from './patient-pool.ts'

/** A server that a test may hurt, and stores on it. */
export interface HurtServer extends AsyncDisposable {
  readonly server: PrivateServer
  /** A node's own client. */
  open(): Promise<LimiterStore>
}

/** What is acknowledged there survives a SIGKILL. */
export const hurtServers: Record<'Redis' | 'Postgres', () => Promise<HurtServer>> = {
  Redis: async () => {
    const server = await startRedis({ settings: { appendonly: 'yes' } })
    const clients: Redis[] = []
    const prefix = `outage_${randomBytes(6).toString('hex')}`
    return {
      server,
      async open() {
        const client = new Redis(server.url)
        client.on('error', () => {})
        clients.push(client)
        return redisStore(client, { prefix })
      },
      async [Symbol.asyncDispose]() {
        for (const client of clients) client.disconnect()
        await server.stop()
      },
    }
  },
  Postgres: async () => {
    const server = await startPostgres()
    const pools: pg.Pool[] = []
    let migrated: Promise<unknown> | undefined
    return {
      server,
      async open() {
        const pool = patientPool({ connectionString: server.url, max: 5, connectionTimeoutMillis: 10_000 })
        pools.push(pool)
        const store = postgresStore(pool)
        await (migrated ??= migrate(pool, [store]))
        return store
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(pools.map((pool) => pool.end()))
        await server.stop()
      },
    }
  },
}
