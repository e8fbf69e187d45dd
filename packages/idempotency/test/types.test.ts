/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient, createCluster } from 'redis'
import { expectTypeOf, test } from 'vitest'
import {
  createIdempotency,
  memoryStore,
  reply,
  unwrap,
  type Codec,
  type Idempotency,
  type TransactionalIdempotency,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use
const call = { scope: 'm1', op: 'charge', key: 'k1' }

test('only a store that shares its database has transaction()', () => {
  compiled(() => {
    const memory = createIdempotency({ store: memoryStore() })
    expectTypeOf(memory).toEqualTypeOf<Idempotency>()
    // @ts-expect-error it cannot commit with business rows
    void memory.transaction(call, async () => reply(200))
    const postgres = createIdempotency({ store: postgresStore(new PGlite()) })
    expectTypeOf(postgres).toEqualTypeOf<TransactionalIdempotency>()
  })
})

test('every client of Redis fits as it is', () => {
  compiled(() => [
    redisStore(new Redis()),
    redisStore(new Redis5()),
    redisStore(new Cluster([])),
    redisStore(createClient()),
    redisStore(createCluster({ rootNodes: [] })),
    // @ts-expect-error a Map is no client
    redisStore(new Map()),
  ])
})

test('the value keeps its type through run, wrap and unwrap', () => {
  compiled(async () => {
    const idempotency = createIdempotency({ store: memoryStore() })
    expectTypeOf(unwrap(await idempotency.run(call, async () => ({ id: 1 })))).toEqualTypeOf<{ id: number }>()
    const charge = idempotency.wrap(async (id: string, cents: number) => `${id}${cents}`, {
      op: 'charge',
      scope: () => 'm1',
      key: (id) => id,
    })
    expectTypeOf(charge).toEqualTypeOf<(id: string, cents: number) => Promise<string>>()
    const codec: Codec<Uint8Array> = { encode: (v) => v, decode: (b) => b }
    // @ts-expect-error the codec is of bytes, the work of a number
    await idempotency.run({ ...call, codec }, async () => 1)
    // @ts-expect-error a call needs its scope
    await idempotency.run({ op: 'charge', key: 'k1' }, async () => 1)
    // @ts-expect-error there are two guarantees
    await idempotency.run({ ...call, guarantee: 'exactly-once' }, async () => 1)
  })
})
