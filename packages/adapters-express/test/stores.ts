import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import { memoryStore, type IdempotencyStore } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'

/** A store on its real server, with nothing of another test in it. */
export interface OpenStore {
  readonly store: IdempotencyStore
  close(): Promise<void>
}

/** Where keys are claimed in these tests. */
export const stores: readonly { store: string; open(): OpenStore }[] = [
  { store: 'memory', open: () => ({ store: memoryStore(), async close() {} }) },
  { store: 'Redis', open: openRedis },
]

function openRedis(): OpenStore {
  const client = new Redis(inject('redisUrl'))
  const store = redisStore(client, { prefix: `express_${randomBytes(6).toString('hex')}` })
  return {
    store,
    async close() {
      await store.close?.()
      client.disconnect()
    },
  }
}
