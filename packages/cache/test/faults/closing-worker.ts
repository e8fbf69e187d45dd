import { createCache, keyOf } from '@keelson/cache'
import { transact } from '@keelson/kernel/postgres'
import { openPlace, type OraclePlace } from '../oracle/oracle-place.ts'

/** Does a little of everything, closes when it is told to, and has nothing left then that keeps it alive. */
const { db, end, ...shared } = await openPlace(JSON.parse(process.env['PLACE']!) as OraclePlace)
const caches = createCache({ ...shared, storeTimeout: '2s', lease: '300ms' })
await caches.start()
const cache = caches.scope('acme')
await cache.getOrSet('k', () => 1, { ttl: '1h', grace: '1h', tags: ['t'] })
await cache.invalidate('t').catch(() => {}) // a busy machine is no outage
await transact(db!, async () => ({ value: 1, effects: [cache.drop(keyOf('k'))] }))
process.once('message', () => void close())
process.send?.({ ready: true })

async function close(): Promise<void> {
  // On its way while everything ends.
  const pending = Promise.allSettled([cache.getOrSet('late', () => 2), cache.invalidate('t'), cache.set('x', 1)])
  await caches.close()
  await pending
  await db!.end()
  end()
  process.disconnect()
}
