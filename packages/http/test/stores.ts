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
  { store: 'Redis', open: () => openRedis() },
]

/** A store in the shared Redis, or another; a lost connection is opened again at once. */
export function openRedis(url: string = inject('redisUrl')): OpenStore {
  const client = new Redis(url, { retryStrategy: () => 50 })
  client.on('error', () => {})
  const store = redisStore(client, { prefix: `http_${randomBytes(6).toString('hex')}` })
  return {
    store,
    async close() {
      await store.close?.()
      client.disconnect()
    },
  }
}
