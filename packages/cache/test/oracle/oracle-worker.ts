import { Redis } from 'ioredis'
import pg from 'pg'
import { createCache, keyOf, type CacheStore } from '@keelson/cache'
import { postgresStore } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import type { Asked, Said } from './oracle-process.ts'

/** One node of several: reads and writes through its cache what it is told to, and loads from who told it. */
const { STORE, STORE_URL = '', NAME = '', OPTIONS = '{}' } = process.env
/** Lost connections come back at once: what is measured is our own part. */
const RECONNECT_MS = 50

function openStore(): CacheStore {
  if (STORE === 'postgres') {
    const pool = new pg.Pool({ connectionString: STORE_URL, max: 4 })
    pool.on('error', () => {})
    return postgresStore(pool, { schema: NAME })
  }
  const client = new Redis(STORE_URL, { retryStrategy: () => RECONNECT_MS })
  client.on('error', () => {})
  return redisStore(client, { prefix: NAME })
}

const caches = createCache({ name: NAME, store: openStore(), ...JSON.parse(OPTIONS) })
const cache = caches.scope('acme')
const asked = new Map<number, (version: number) => void>()
let ids = 0

const say = (said: Said): void => void process.send?.(said)

function ask(call: 'load' | 'advance', key: string): Promise<number> {
  const id = ++ids
  const answered = new Promise<number>((resolve) => asked.set(id, resolve))
  say({ id, call, key })
  return answered
}

async function answer({ call, key }: Extract<Asked, { call: string }>): Promise<number> {
  if (call === 'read') return cache.getOrSet(key, () => ask('load', key))
  const version = await ask('advance', key)
  await cache.invalidate(keyOf(key))
  return version
}

process.on('message', (message: Asked) => {
  if ('version' in message) {
    asked.get(message.id)?.(message.version)
    asked.delete(message.id)
    return
  }
  void answer(message).then(
    (version) => say({ id: message.id, version }),
    (error: unknown) => say({ id: message.id, threw: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
await caches.start()
process.send?.({ ready: true })
