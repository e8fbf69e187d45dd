import { expect, test } from 'vitest'
import { createHealth, type Health } from '@keelson/resilience/health'
import { healthApi, type HealthLike } from '@keelson/http/apis'
import { call } from './call.ts'

function health(): Health {
  const health = createHealth()
  health.add('db', { check: () => true, critical: true })
  return health
}

test('a process on its way: not started, ready, degraded, draining', async () => {
  const one = health()
  let searchFails = false
  one.add('search', { check: () => !searchFails, timeout: 100 })
  const api = healthApi({ health: one })
  const statuses = async (): Promise<Record<string, number>> => {
    const paths = ['/', '/live', '/liveness', '/ready', '/readiness', '/startup']
    return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, (await call(api, path)).status])))
  }
  const all = { '/': 200, '/live': 200, '/liveness': 200, '/ready': 200, '/readiness': 200, '/startup': 200 }
  const out = { '/': 503, '/ready': 503, '/readiness': 503 }
  expect(await statuses()).toEqual({ ...all, ...out, '/startup': 503 })
  expect((await call(api, '/ready')).body).toEqual({ ok: false, status: 'down', reason: 'not started', checks: {} })
  searchFails = true
  one.started()
  expect(await statuses()).toEqual(all)
  expect((await call(api, '/ready')).body).toEqual({
    ok: true,
    status: 'degraded',
    reason: 'failed: search',
    checks: {
      db: { ok: true, critical: true, ms: expect.any(Number) },
      search: { ok: false, critical: false, ms: expect.any(Number) },
    },
  })
  one.drain('SIGTERM')
  expect(await statuses()).toEqual({ ...all, ...out })
})

test('a critical check takes the node out of traffic; what its error says stays inside', async () => {
  const one = health()
  one.started()
  one.add('ledger', { critical: true, check: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:5432')) })
  const { status, body, text } = await call(healthApi({ health: one }), '/ready')
  expect([status, body.reason]).toEqual([503, 'failed: ledger'])
  expect(text).not.toContain('10.0.0.7')
})

test('all in one shows the event loop beside the checks, and is down when it is', async () => {
  const one = health()
  one.started()
  const { body } = await call(healthApi({ health: one }), '/')
  expect(Object.keys(body.checks)).toEqual(['event-loop', 'db'])
  const crawling: HealthLike = {
    ...one,
    liveness: async () => ({ ok: false, status: 'down', reason: 'failed: event-loop', checks: {} }),
  }
  const down = await call(healthApi({ health: crawling }), '/')
  expect([down.status, down.body.reason]).toEqual([503, 'failed: event-loop'])
})

test('HEAD like GET, no-store, 404 and 405 as problems', async () => {
  const one = health()
  one.started()
  const api = healthApi({ health: one })
  const head = await call(api, '/ready', { method: 'HEAD' })
  expect([head.status, head.text, head.headers.get('Cache-Control')]).toEqual([200, '', 'no-store'])
  expect((await call(api, '/metrics')).body).toMatchObject({ type: 'urn:keelson:problem:not-found' })
  const posted = await call(api, '/ready', { method: 'POST' })
  expect([posted.status, posted.headers.get('Allow')]).toEqual([405, 'GET, HEAD'])
})

test('a health that rejects is a problem, without its message', async () => {
  const broken: HealthLike = { ...health(), readiness: () => Promise.reject(new Error('secret')) }
  const { status, text } = await call(healthApi({ health: broken }), '/ready')
  expect(status).toBe(500)
  expect(text).not.toContain('secret')
})

test.each([
  [{}, /healthApi: "health" is required/],
  [{ health: {} }, /"health" must be an object with liveness\(\), readiness\(\), startup\(\)/],
  [{ health: health(), authorize: 'public' }, /unknown option "authorize"/],
])('healthApi refuses %j', (options, message) => {
  expect(() => healthApi(options as never)).toThrow(message)
})
