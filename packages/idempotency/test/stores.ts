import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import pg from 'pg'
import { inject } from 'vitest'
import { memoryStore, type Claim, type Fingerprint, type IdempotencyStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import { migrate } from '@keelson/kernel/postgres'

/** A store on its real server, with nothing of another test in it. */
export interface OpenStore extends AsyncDisposable {
  readonly store: IdempotencyStore
}

/** Every store that this package has. */
export const stores: Record<string, () => Promise<OpenStore>> = {
  memory: async () => ({ store: memoryStore(), async [Symbol.asyncDispose]() {} }),
  Redis: async () => {
    const client = new Redis(inject('redisUrl'))
    const store = redisStore(client, { prefix: `store_${randomBytes(6).toString('hex')}` })
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close?.()
        client.disconnect()
      },
    }
  },
  PGlite: async () => {
    const db = new PGlite()
    const store = postgresStore(db)
    await migrate(db, [store])
    return { store, [Symbol.asyncDispose]: () => db.close() }
  },
  Postgres: async () => {
    const db = new pg.Pool({ connectionString: inject('databaseUrl') })
    const schema = `store_${randomBytes(6).toString('hex')}`
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

export const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)
export const someRef = (): Uint8Array => new Uint8Array(randomBytes(16))
export const print = (byte: number, alg: Fingerprint['alg'] = 'json'): Fingerprint => ({
  alg,
  digest: new Uint8Array(32).fill(byte),
})

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
