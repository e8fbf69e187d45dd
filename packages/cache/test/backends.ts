import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, inject } from 'vitest'
import { createCache, memoryStore, type CacheOptions, type Caches } from '@keelson/cache'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import type { DatabaseLike } from '@keelson/kernel/postgres'
import { migrate } from '@keelson/kernel/postgres'

/** What the nodes of one cache share. */
export interface Backend extends AsyncDisposable {
  /** A started node. */
  node(o?: Partial<CacheOptions>): Promise<Caches>
  /** Where business rows are written, if its drops are rows too. */
  readonly db?: DatabaseLike
}

/** Every store, on its real server, for tests of the whole. */
export const backends: Record<string, () => Promise<Backend>> = {
  memory: async () => {
    const store = memoryStore()
    return backendOver(() => ({ store }))
  },
  'Redis, ioredis': async () => {
    const ends: (() => void)[] = []
    const optionsOf = () => {
      const client = new Redis(inject('redisUrl'))
      ends.push(() => client.disconnect())
      return { store: redisStore(client) }
    }
    return backendOver(optionsOf, { dispose: async () => ends.forEach((end) => end()) })
  },
  'Redis, node-redis, log in Postgres': async () => {
    const ends: (() => void)[] = []
    const { db, schema, drop } = await postgres()
    const log = postgresLog(db, { schema })
    await migrate(db, [log])
    const optionsOf = async () => {
      const client = await createClient({ url: inject('redisUrl') }).connect()
      ends.push(() => client.destroy())
      return { store: redisStore(client), log }
    }
    const dispose = async (): Promise<void> => {
      ends.forEach((end) => end())
      await drop()
    }
    return backendOver(optionsOf, { dispose, db })
  },
  Postgres: async () => {
    const { db, schema, drop } = await postgres()
    const store = postgresStore(db, { schema })
    await migrate(db, [store])
    return backendOver(() => ({ store }), { dispose: drop, db })
  },
  PGlite: async () => {
    const db = await sharedPGlite()
    return backendOver(() => ({ store: postgresStore(db) }), { db })
  },
}

/** One for all tests of a file: it takes a while to begin. */
let pglite: Promise<PGlite> | undefined
function sharedPGlite(): Promise<PGlite> {
  return (pglite ??= (async () => {
    const db = new PGlite()
    await migrate(db, [postgresStore(db)])
    return db
  })())
}
afterAll(async () => (await pglite)?.close())

async function postgres(): Promise<{ db: pg.Pool; schema: string; drop(): Promise<void> }> {
  const db = new pg.Pool({ connectionString: inject('databaseUrl') })
  const schema = `cache_${randomBytes(6).toString('hex')}`
  return {
    db,
    schema,
    async drop() {
      await db.query(`drop schema ${schema} cascade`)
      await db.end()
    },
  }
}

type Shared = Pick<CacheOptions, 'store' | 'log'>

function backendOver(
  optionsOf: () => Shared | Promise<Shared>,
  { db, dispose }: { db?: DatabaseLike; dispose?: () => Promise<void> } = {},
): Backend {
  const name = `t${randomBytes(6).toString('hex')}`
  const nodes: Caches[] = []
  return {
    ...(db === undefined ? {} : { db }),
    async node(o = {}) {
      // What is tested must not depend on how long the machine stands still.
      const fixed = { name, storeTimeout: '10s', lockTtl: '1m', lease: '300ms', jitter: 0, early: 0 } as const
      const caches = createCache({ ...fixed, ...(await optionsOf()), ...o })
      await caches.start()
      nodes.push(caches)
      return caches
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(async (node) => node.close()))
      await dispose?.()
    },
  }
}
