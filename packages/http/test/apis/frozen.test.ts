/** The operators' view while a real store stands still (SIGSTOP). */
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import type { Status } from '@keelson/kernel'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { checks, createHealth } from '@keelson/resilience/health'
import { createHttp } from '@keelson/http'
import { healthApi, opsApi } from '@keelson/http/apis'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { call } from './call.ts'

const PATIENCE_MS = 60_000

test('with a Redis that stands still every path answers, and what does not need it is whole', async () => {
  await using opened = new AsyncDisposableStack()
  const server = opened.use(await startRedis())
  const client = new Redis(server.url)
  client.on('error', () => {})
  opened.defer(() => client.disconnect())
  const components = [redisStore(client), memoryStore()].map((store) =>
    opened.use(createIdempotency({ store, storeTimeout: '5s' })),
  )
  const health = createHealth({ cache: 0 })
  health.add('redis', { ...checks.redis(client), critical: true })
  health.started()
  // Longer than the store may take.
  const ops = opsApi({ http: createHttp(), components, health, authorize: 'public', timeout: '10s' })
  const probes = healthApi({ health })
  const states = async (): Promise<string[]> =>
    ((await call(ops, '/status')).body.components as Status[]).map(({ state }) => state)
  const charge = () => components[0]!.run({ scope: 'm1', op: 'charge', key: crypto.randomUUID() }, async () => 'done')
  const ready = () =>
    until('it is ready', PATIENCE_MS, async () => (await call(probes, '/ready')).status === 200 || undefined)
  expect(await charge()).toMatchObject({ ok: true })
  expect(await states()).toEqual(['ok', 'ok', 'ok'])
  await ready()

  server.freeze()
  try {
    expect(await charge()).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
    expect(await states()).toEqual(['ok', expect.stringMatching(/^(degraded|down)$/), 'ok'])
    expect(await call(probes, '/ready')).toMatchObject({ status: 503, body: { reason: 'failed: redis' } })
    expect((await call(probes, '/live')).status).toBe(200)
    for (const path of ['/', '/metrics', '/metrics/json', '/metrics/health', '/explain/c-1'])
      expect([path, (await call(ops, path)).status]).toEqual([path, 200])
    const { text } = await call(ops, '/metrics')
    expect(text).toContain('keelson_health_check_up{check="redis",critical="true"} 0')
  } finally {
    server.thaw()
  }
  await ready()
  await until('a call gets through', PATIENCE_MS, async () => (await charge()).ok || undefined)
  expect(await states()).toEqual(['ok', 'ok', 'ok'])
})
