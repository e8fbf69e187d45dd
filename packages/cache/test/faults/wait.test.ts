import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createCache, keyOf, type CacheOptions } from '@keelson/cache'
import { postgresLog } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import { transact } from '@keelson/kernel/postgres'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { until } from '../../../../tools/servers/until.ts'
import { watchRejections } from '../../../idempotency/test/faults/unhandled.ts'
import { someName, withDatabase } from '../oracle/three-processes.ts'

watchRejections()

const PATIENCE_MS = 60_000

/** A node that commits while its way to Redis is frozen; another relays. What the other reads once the first is told. */
async function dropCutOff(onUnavailable: 'owe' | 'wait'): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const { hostname: host, port } = new URL(inject('redisUrl'))
  const proxy = stack.use(await startFaultProxy({ host, port: Number(port) }))
  await withDatabase(inject('databaseUrl'), async ({ name: schema, databaseUrl }) => {
    const db = new pg.Pool({ connectionString: databaseUrl })
    const name = someName().slice(0, 20)
    const clients = [new Redis(proxy.port, proxy.host), new Redis(inject('redisUrl'))] as const
    for (const client of clients) client.on('error', () => {})
    const log = postgresLog(db, { schema, relayAfter: '50ms', pollInterval: '50ms' })
    const node = (client: Redis, o: Partial<CacheOptions>) =>
      createCache({ name, store: redisStore(client), log, jitter: 0, early: 0, ...o })
    // Longer than a relay takes on any machine. It is no member, so that nobody waits so long for it.
    const cutOff = node(clients[0], { onUnavailable, lease: '10s' })
    const beside = node(clients[1], { storeTimeout: '10s', lease: '300ms' })
    try {
      await beside.start()
      // The first lease of a new registry is over with it.
      await beside.scope('s').invalidate('first')
      const [mine, other] = [cutOff.scope('s'), beside.scope('s')]
      // What reaches Redis has a quarter of a second, which a busy machine may take from it.
      await until('the other node has what the first one loaded', PATIENCE_MS, async () => {
        expect(await mine.getOrSet('k', () => 'old')).toBe('old')
        return (await other.get('k')) === 'old' || undefined
      })
      proxy.freeze()
      await transact(db, async () => ({ value: 1, effects: [mine.drop(keyOf('k'))] }), { afterCommitTimeout: '1m' })
      if (onUnavailable === 'wait') expect(await other.getOrSet('k', () => 'new')).toBe('new')
      // Whoever cannot reach the cache loads.
      expect(await mine.getOrSet('k', () => 'new')).toBe('new')
    } finally {
      proxy.pass()
      await Promise.all([cutOff.close(), beside.close()])
      for (const client of clients) client.disconnect()
      await db.end()
    }
  })
}

test("'wait': the drop of a node that is cut off from Redis is true for the others when its transaction is answered", () =>
  dropCutOff('wait'))

test("'owe': it is answered, and a relay pays", () => dropCutOff('owe'))
