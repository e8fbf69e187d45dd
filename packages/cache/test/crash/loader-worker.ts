import { createCache } from '@keelson/cache'
import { openPlace, type OraclePlace } from '../oracle/oracle-place.ts'

/** Begins a load that never ends, and says so. Its lock outlasts a machine that stands still, not its death. */
const { db: _db, end: _end, ...shared } = await openPlace(JSON.parse(process.env['PLACE']!) as OraclePlace)
const caches = createCache({ ...shared, storeTimeout: '60s', lockTtl: '5s' })
await caches.start()
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
void caches.scope('acme').getOrSet('k', () => {
  process.send?.('loading')
  return new Promise(() => {})
})
