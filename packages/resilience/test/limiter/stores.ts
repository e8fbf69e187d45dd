import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { inject } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { redisClients, type OpenRedis } from '../../../../tools/servers/redis-clients.ts'
import { openTestSchema } from '../../../../tools/servers/test-schema.ts'
import { memoryStore, type LimiterStore } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

/** A store on its real server, with nothing of another test in it. */
export interface OpenStore extends AsyncDisposable {
  readonly store: LimiterStore
}

const onRedis = Object.fromEntries(
  Object.entries(redisClients).map(([name, open]) => [`Redis, ${name}`, async () => overRedis(await open())]),
)

/** Every store that this package has. */
export const stores: Record<string, () => Promise<OpenStore>> = {
  memory: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }),
  ...onRedis,
  PGlite: async () => {
    const db = new PGlite()
    const store = postgresStore(db)
    await migrate(db, [store])
    return { store, [Symbol.asyncDispose]: () => db.close() }
  },
  Postgres: async () => {
    const { pool, schema, [Symbol.asyncDispose]: dispose } = openTestSchema(inject('databaseUrl'), 'limiter')
    const store = postgresStore(pool, { schema })
    await migrate(pool, [store])
    return { store, [Symbol.asyncDispose]: dispose }
  },
}

function overRedis({ client, [Symbol.asyncDispose]: disconnect }: OpenRedis): OpenStore {
  const store = redisStore(client, { prefix: `limiter_${randomBytes(6).toString('hex')}` })
  return { store, [Symbol.asyncDispose]: disconnect }
}
