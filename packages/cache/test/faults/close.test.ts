import { expect, inject, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { OraclePlace } from '../oracle/oracle-place.ts'
import { withDatabase } from '../oracle/three-processes.ts'

/** It ends by itself, which a rejection that nobody handles would not let it do in order. */
async function endsByItself(place: OraclePlace, before: () => void = () => {}): Promise<void> {
  const worker = await startWorker<object, never>(new URL('./closing-worker.ts', import.meta.url), {
    PLACE: JSON.stringify(place),
  })
  before()
  worker.send({ close: true })
  expect(await worker.ended).toBe('exit 0')
}

test.each(['ioredis', 'node-redis'] as const)('a process over %s ends by itself after close()', (store) =>
  withDatabase(inject('databaseUrl'), (place) => endsByItself({ store, redisUrls: [inject('redisUrl')], ...place })),
)

test('a process over Postgres ends by itself after close()', () =>
  withDatabase(inject('databaseUrl'), (place) => endsByItself({ store: 'postgres', ...place })))

test.each(['ioredis', 'node-redis'] as const)('a process over %s ends by itself while Redis is frozen', (store) =>
  withDatabase(inject('databaseUrl'), async (place) => {
    await using server = await startRedis()
    try {
      await endsByItself({ store, redisUrls: [server.url], ...place }, () => server.freeze())
    } finally {
      server.thaw()
    }
  }),
)
