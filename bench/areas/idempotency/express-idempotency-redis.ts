import type { IIdempotencyDataAdapter, IdempotencyResource } from 'express-idempotency'
import type { Redis } from 'ioredis'

const RETAIN_MS = 86_400_000

/**
 * express-idempotency ships an array in memory and names an adapter for Mongo; for others it asks for this interface.
 * Its own check is a find and then a create; SET NX here is the most that a create can do.
 */
export function redisAdapter(client: Redis, prefix: string): IIdempotencyDataAdapter {
  const keyOf = (key: string): string => `${prefix}:${key}`
  return {
    async findByIdempotencyKey(key) {
      const found = await client.get(keyOf(key))
      return found === null ? null : (JSON.parse(found) as IdempotencyResource)
    },
    async create(resource) {
      const set = await client.set(keyOf(resource.idempotencyKey), JSON.stringify(resource), 'PX', RETAIN_MS, 'NX')
      if (set === null) throw new Error('Duplicate')
    },
    async update(resource) {
      await client.set(keyOf(resource.idempotencyKey), JSON.stringify(resource), 'PX', RETAIN_MS)
    },
    async delete(key) {
      await client.del(keyOf(key))
    },
  }
}
