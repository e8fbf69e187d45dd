import { afterAll, expect, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { becomeStandby, promote } from '../../../../tools/servers/standby.ts'
import { until } from '../../../../tools/servers/until.ts'
import { createLimiter } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { patientPool } from './patient-pool.ts'

const server = await startPostgres({ maxConnections: 20 })
const pool = patientPool({ connectionString: server.url, max: 4 })
const store = postgresStore(pool)
await migrate(pool, [store])
const quotas = [
  { name: 'hour', limit: 100, per: '1h' },
  { name: 'day', limit: 100, calendar: 'day', timeZone: 'UTC' },
] as const
afterAll(async () => {
  await pool.end()
  await server.stop()
})

test('what a pool reaches is a standby for a time: takes are answered as declared, and counted again later', async () => {
  const common = { quotas, store, storeTimeout: '30s' } as const
  const local = createLimiter({ name: 'local', ...common })
  const closed = createLimiter({ name: 'closed', ...common, onStoreFailure: 'deny' })
  const alice = { scope: 's', key: 'alice' }
  expect(await local.take(alice)).toMatchObject({ allowed: true, source: 'store', exact: true })

  await becomeStandby(server)
  expect(await local.take(alice)).toMatchObject({ allowed: true, source: 'local', exact: false })
  expect(await local.peek(alice)).toMatchObject({ allowed: true, source: 'local' })
  expect(await closed.take(alice)).toMatchObject({ allowed: false, exact: false })
  await expect(local.reset(alice)).rejects.toMatchObject({ name: 'ResilienceError', code: 'STORE_UNAVAILABLE' })

  await promote(server)
  const taken = await until('the store is back', 60_000, async () => {
    const decision = await local.take({ ...alice, key: 'bob' })
    return decision.exact ? decision : undefined
  })
  expect(taken).toMatchObject({ allowed: true, source: 'store' })
  await Promise.all([local.close(), closed.close()])
})
