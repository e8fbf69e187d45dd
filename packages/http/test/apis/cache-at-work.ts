import { Redis } from 'ioredis'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import { postgresLog } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { migrate, transact, type DatabaseLike } from '@keelson/kernel/postgres'

/** A schema that nothing fits. */
const nothing = {
  '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no' }] }) },
} as const

/** Caches that have counted something in each of their families. */
export async function cachesAtWork(opened: AsyncDisposableStack, redisUrl: string, db: DatabaseLike, schema: string) {
  const log = postgresLog(db, { schema, relayAfter: 0 })
  await migrate(db, [log])
  const connect = (url: string): Redis => {
    const client = new Redis(url, { retryStrategy: () => null, enableOfflineQueue: url === redisUrl })
    client.on('error', () => {})
    return opened.adopt(client, (client) => client.disconnect())
  }
  const create = (name: string, o: Partial<Parameters<typeof createCache>[0]>): Caches =>
    opened.use(createCache({ name, storeTimeout: '10s', ...o }))
  const shared = create('shared', { store: redisStore(connect(redisUrl), { prefix: schema }), log })
  const alone = create('alone', { store: memoryStore(), l1: { maxEntries: 1 } })
  const away = create('away', { store: redisStore(connect('redis://127.0.0.1:1')) })

  const cache = shared.scope('s')
  await cache.getOrSet('k', () => 1, { tags: ['t'] })
  await cache.getOrSet('k', () => 1)
  const raced = async (): Promise<number> => {
    await cache.invalidate('t')
    return 1
  }
  await cache.getOrSet('raced', raced, { tags: ['t'] })
  await cache.getOrSet('date', () => new Date())
  await cache.set('misfit', 'before the deploy')
  await cache.at('x').getOrSet('misfit', () => 1, { schema: nothing })
  // Its author dies behind the commit.
  const { kind, statements } = cache.drop('t')
  await transact(db, async () => ({ value: undefined, effects: [{ kind, statements: statements! }] }))
  await shared.runOnce()
  for (const key of ['a', 'b', 'c']) await alone.scope('s').getOrSet(key, () => key)
  await away.scope('s').getOrSet('k', () => 1)
  return [shared, alone, away]
}
