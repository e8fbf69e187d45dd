import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { reply } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { createIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { becomeStandby, promote } from '../../../../tools/servers/standby.ts'
import { until } from '../../../../tools/servers/until.ts'

const server = await startPostgres({ maxConnections: 20 })
const pool = new pg.Pool({ connectionString: server.url, max: 4 })
pool.on('error', () => {})
const store = postgresStore(pool)
await migrate(pool, [store])
afterAll(async () => {
  await pool.end()
  await server.stop()
})

test('what a pool reaches is a standby for a time: keys are refused or run unprotected, as declared, until it is not', async () => {
  const strict = createIdempotency({ store, storeTimeout: '30s' })
  const bare = createIdempotency({ store, storeTimeout: '30s', onStoreDown: 'run-unprotected' })
  const call = { scope: 's', op: 'o', input: 1 }
  let runs = 0
  const work = async (): Promise<number> => ++runs
  const refused = { ok: false, code: 'STORE_UNAVAILABLE', retryAfter: expect.any(Number) }
  const write = (key: string) => strict.transaction({ ...call, key }, async () => reply(201, { runs: ++runs }))

  await becomeStandby(server)
  expect(await strict.run({ ...call, key: 'run' }, work)).toMatchObject(refused)
  expect(await write('write')).toMatchObject(refused)
  expect(runs).toBe(0)
  expect(await bare.run({ ...call, key: 'bare' }, work)).toMatchObject({ ok: true, stored: false })
  expect(runs).toBe(1)

  await promote(server)
  const back = <T extends { ok: boolean }>(ask: () => Promise<T>): Promise<T> =>
    until('the store is back', 60_000, async () => {
      const outcome = await ask()
      return outcome.ok ? outcome : undefined
    })
  expect(await back(() => strict.run({ ...call, key: 'run' }, work))).toMatchObject({ value: 2, stored: true })
  expect(await back(() => write('write'))).toMatchObject({ kind: 'executed', stored: true })
  await Promise.all([strict.close(), bare.close()])
})
