import type { Clock } from '@keelson/kernel'
import { memoryStore, type WebhookStore } from '@keelson/webhooks'
import { redisClients } from '../../../tools/servers/redis-clients.ts'
import { openTimedRedis } from './redis/redis-subject.ts'
import { openPglite, openPostgres } from './postgres/open-postgres.ts'

/** A store whose time is a test's: whole ms. */
export interface TimedStore extends AsyncDisposable {
  readonly store: WebhookStore
  /** Sets the store's clock. */
  at(nowMs: number): Promise<void>
}

/** Every store that is compared with the model, at the time of its first `at`. */
export const timedStores: Record<string, () => Promise<TimedStore>> = {
  Postgres: () => openPostgres(undefined, 4),
  PGlite: openPglite,
  Redis: () => openTimedRedis(redisClients['ioredis 6'], 1),
  'Redis, two shards': () => openTimedRedis(redisClients['node-redis'], 2),
}

/** The model. */
export function timedMemory(): TimedStore {
  let time = 0
  const clock: Clock = {
    now: () => time,
    monotonic: () => time,
    timer: () => ({ cancel() {} }),
    sleep: async () => {},
  }
  return {
    store: memoryStore({ clock }),
    async at(nowMs) {
      time = nowMs
    },
    async [Symbol.asyncDispose]() {},
  }
}
