import { expect, inject, test, vi } from 'vitest'
import { createCache } from '@keelson/cache'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { openPlace, type OraclePlace } from '../oracle/oracle-place.ts'
import { someName, withDatabase } from '../oracle/three-processes.ts'

const WAITERS = 100

async function killLoader(place: OraclePlace): Promise<void> {
  const worker = await startWorker<never, 'loading'>(new URL('./loader-worker.ts', import.meta.url), {
    PLACE: JSON.stringify(place),
  })
  const { db, end, ...shared } = await openPlace(place)
  const caches = createCache({ ...shared, storeTimeout: '60s' })
  try {
    await caches.start()
    await new Promise<void>((resolve) => worker.onMessage(() => resolve()))
    const load = vi.fn(async () => 'second')
    const waiting = Promise.all(Array.from({ length: WAITERS }, () => caches.scope('acme').getOrSet('k', load)))
    await caches.scope('acme').getOrSet('another', () => 1)
    expect(load).not.toHaveBeenCalled()
    await worker.kill()
    expect(new Set(await waiting)).toEqual(new Set(['second']))
    expect(load).toHaveBeenCalledTimes(1)
  } finally {
    await worker.kill()
    await caches.close()
    await db?.end()
    end()
  }
}

test('a process that dies in a load leaves it to another, on Redis', () =>
  killLoader({ store: 'ioredis', name: someName(), redisUrls: [inject('redisUrl')] }))

test('a process that dies in a load leaves it to another, on Postgres', () =>
  withDatabase(inject('databaseUrl'), (place) => killLoader({ store: 'postgres', ...place })))
