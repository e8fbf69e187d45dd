import { createWebhooks, type Webhooks, type WebhookStore } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { redisStore } from '@keelson/webhooks/redis'
import { migrate } from '@keelson/kernel/postgres'
import { Redis } from 'ioredis'
import { Client, Pool } from 'pg'

export type Kind = 'redis' | 'postgres'

/** On this machine, which others work on too. */
export const LOCAL = {
  encryption: 'plaintext',
  network: { allow: ['127.0.0.1/32'], httpsOnly: false },
  storeTimeout: '10s',
} as const

/** A store at `url`, under a prefix or in the schema `place`. */
export async function openStore(
  kind: Kind,
  url: string,
  place: string,
): Promise<{ store: WebhookStore; end(): Promise<unknown> }> {
  if (kind === 'redis') {
    const redis = new Redis(url)
    return { store: redisStore(redis, { prefix: place }), end: () => redis.quit() }
  }
  const pool = new Pool({ connectionString: url, max: 8 })
  // The server may end before the last of them.
  pool.on('error', () => {})
  const listen = async (): Promise<Client> => {
    const client = new Client({ connectionString: url })
    await client.connect()
    return client
  }
  const store = postgresStore(pool, { schema: place, listen })
  await migrate(pool, [store])
  return { store, end: () => pool.end() }
}

/** One node of several. */
export async function openKeelson(
  kind: Kind,
  url: string,
  place: string,
): Promise<{ webhooks: Webhooks; end(): Promise<unknown> }> {
  const { store, end } = await openStore(kind, url, place)
  return { webhooks: createWebhooks({ ...LOCAL, store }), end }
}
