import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { inject } from 'vitest'
import { memoryStore, type Claim, type IdempotencyStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import { migrate } from '@keelson/kernel/postgres'
import { redisClients, type OpenRedis } from '../../../tools/servers/redis-clients.ts'
import { openTestSchema } from '../../../tools/servers/test-schema.ts'

/** A store on its real server, with nothing of another test in it. */
export interface OpenStore extends AsyncDisposable {
  readonly store: IdempotencyStore
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
    const { pool, schema, [Symbol.asyncDispose]: dispose } = openTestSchema(inject('databaseUrl'), 'store')
    const store = postgresStore(pool, { schema })
    await migrate(pool, [store])
    return { store, [Symbol.asyncDispose]: dispose }
  },
}

/** The optional methods that each of them has. */
export const abilities: Record<string, readonly string[]> = {
  memory: ['wait', 'sweep', 'counts', 'stuck', 'ofSubject'],
  ...Object.fromEntries(Object.keys(onRedis).map((name) => [name, ['wait', 'warnings', 'ofSubject']])),
  PGlite: ['sweep', 'counts', 'stuck', 'ofSubject'],
  Postgres: ['sweep', 'counts', 'stuck', 'ofSubject'],
}

function overRedis({ client, [Symbol.asyncDispose]: disconnect }: OpenRedis): OpenStore {
  const store = redisStore(client, { prefix: `store_${randomBytes(6).toString('hex')}` })
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close?.()
      await disconnect()
    },
  }
}

export const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)
export const someRef = (): Uint8Array => new Uint8Array(randomBytes(16))
/** A claim of a new caller. */
export function claim(more: Partial<Claim> = {}): Claim {
  return {
    nonce: new Uint8Array(randomBytes(16)),
    leaseMs: 60_000,
    retainMs: 60_000,
    onLapsed: 'take',
    scope: 'm1',
    op: 'POST /orders',
    ...more,
  }
}
