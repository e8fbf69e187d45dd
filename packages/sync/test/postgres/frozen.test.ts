import pg from 'pg'
import { expect, test, vi } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { postgresStore } from '../../src/postgres/index.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { ann, openDevice, openSync } from '../open-sync.ts'

test('a frozen database: nothing hangs, and the same push is applied once when it is back', async () => {
  await using server = await startPostgres()
  const pool = new pg.Pool({ connectionString: server.url, connectionTimeoutMillis: 60_000 })
  pool.on('error', () => {})
  const store = postgresStore(pool, { storeTimeout: '5s' })
  await migrate(pool, [store])
  const sync = openSync({ store, storeTimeout: '5s' })
  const device = openDevice(sync, ann, 'd1')
  const set = { team: '1', title: 'Call', done: false }
  await device.push(device.op('t0', 'put', { set }))
  const op = device.op('t1', 'put', { set })
  server.freeze()
  await expect(device.push(op)).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining('did not'),
  })
  for (let i = 0; i < 5; i++) {
    const asked = sync.push(ann, { v: 1, client: 'd1', ops: [op] })
    await expect(asked).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    await expect(asked).rejects.toThrow('is down')
    await expect(sync.pull(ann, { v: 1, cursor: null })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  }
  server.thaw()
  await vi.waitFor(async () => expect(await device.push(op)).toMatchObject([{ status: 'applied' }]), {
    timeout: 60_000,
  })
  expect((await device.push(op))[0]).toMatchObject({ status: 'applied', replay: true })
  await device.pull()
  expect([...device.records.values()].map(({ id }) => id).toSorted()).toEqual(['t0', 't1'])
  await sync.close()
  await pool.end()
})
