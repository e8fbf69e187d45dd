import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Component, MetricFamily, Status } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createHealth, type Health } from '@keelson/resilience/health'
import { createHttp, type FetchHandler } from '@keelson/http'
import { opsApi, type OpsApiOptions, type OpsComponent, type PipelineLike } from '@keelson/http/apis'
import { recordingLogger } from '../support.ts'
import { call } from './call.ts'

/** One that only renders problems. */
const http = { problem: createHttp().problem }
const fails = (message: string) => (): never => {
  throw new Error(message)
}
const hangs = (): Promise<never> => new Promise(() => {})

function component(name: string, more: Partial<OpsComponent> & Partial<Status> = {}): OpsComponent {
  const { inspect, metrics, trace, ...status } = more
  return {
    inspect: inspect ?? (async () => ({ name, state: 'ok', counts: { calls: 1 }, ...status })),
    metrics: metrics ?? (() => [counterOf(`keelson_${name}_calls_total`, 1)]),
    ...(trace === undefined ? {} : { trace }),
  }
}

function counterOf(name: string, value: number): MetricFamily {
  return { name, type: 'counter', help: 'Calls.', samples: [{ name, labels: {}, value }] }
}

function pipeline(name: string, state: ReturnType<PipelineLike['state']>): PipelineLike & { state(): typeof state } {
  return { ...component(name), name, state: () => state }
}

function healthy(): Health {
  const health = createHealth()
  health.add('db', { check: () => true, critical: true })
  health.started()
  return health
}

function api(more: Partial<OpsApiOptions> = {}): FetchHandler {
  return opsApi({ http, components: [], authorize: 'public', ...more })
}

describe('/status', () => {
  test('every component, the worst state first of all, and readiness with its errors', async () => {
    const lastError = { code: 'STORE_UNAVAILABLE', at: 5, message: 'Redis is away' }
    const health = healthy()
    health.add('search', { check: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:9200')) })
    const components = [component('idempotency'), component('cache', { state: 'degraded', lastError, lagMs: 7 })]
    const { status, body } = await call(api({ components, health }), '/status')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      state: 'degraded',
      health: { ok: true, status: 'degraded', checks: { search: { error: 'connect ECONNREFUSED 10.0.0.7:9200' } } },
      components: [
        { name: 'idempotency', state: 'ok', counts: { calls: 1 } },
        { name: 'cache', state: 'degraded', counts: { calls: 1 }, lastError, lagMs: 7 },
      ],
    })
  })

  test('http is a component where it can be inspected, once', async () => {
    const inspected = createHttp()
    const { body } = await call(api({ http: inspected, components: [component('cache'), inspected] }), '/status')
    expect(body.components.map(({ name }: Status) => name)).toEqual(['http', 'cache'])
    expect(body).not.toHaveProperty('health')
  })

  test('a component that throws, rejects, hangs or answers nonsense is a row, and the others are there', async () => {
    const clock = virtualClock()
    const cyclic: Record<string, unknown> = { name: 'cyclic', state: 'ok', counts: {} }
    cyclic['self'] = cyclic
    const unavailable = Object.assign(new Error('Redis is away'), { code: 'STORE_UNAVAILABLE' })
    const components = [
      component('throws', { inspect: fails('no') }),
      component('rejects', { inspect: () => Promise.reject(unavailable) }),
      component('hangs', { inspect: hangs }),
      component('nothing', { inspect: async () => undefined as never }),
      component('cyclic', { inspect: async () => cyclic as never }),
      component('cache'),
    ]
    const answer = call(api({ components, clock, timeout: '2s' }), '/status')
    await clock.advance('2s')
    const { status, body } = await answer
    expect([status, body.state]).toEqual([200, 'down'])
    const rows = (body.components as Status[]).map(({ name, state, lastError }) => [name, state, lastError?.message])
    expect(rows).toEqual([
      ['components[0]', 'down', 'no'],
      ['components[1]', 'down', 'Redis is away'],
      ['components[2]', 'down', 'no answer within 2000 ms'],
      ['components[3]', 'down', 'inspect() answered no status'],
      ['components[4]', 'down', expect.stringContaining('circular')],
      ['cache', 'ok', undefined],
    ])
    expect(body.components[1].lastError).toEqual({
      code: 'STORE_UNAVAILABLE',
      at: expect.any(Number),
      message: 'Redis is away',
    })
    expect(clock.pending()).toBe(0)
  })

  test('one that hangs is asked once, however many look, and keeps the name that it had', async () => {
    const clock = virtualClock()
    let asked = 0
    const inspect = (): Promise<Status> =>
      asked++ === 0 ? Promise.resolve({ name: 'cache', state: 'ok', counts: {} }) : hangs()
    const one = api({ components: [component('cache', { inspect })], clock })
    expect((await call(one, '/status')).body.state).toBe('ok')
    for (let looks = 0; looks < 3; looks++) {
      const answer = call(one, '/status')
      await clock.advance('1s')
      expect((await answer).body).toMatchObject({ state: 'down', components: [{ name: 'cache', state: 'down' }] })
    }
    expect(asked).toBe(2)
  })

  test('a health that rejects takes nothing away', async () => {
    const health = { ...healthy(), readiness: () => Promise.reject(new Error('no')) }
    const { status, body } = await call(api({ components: [component('cache')], health }), '/status')
    expect([status, body.state, body.health]).toEqual([200, 'ok', undefined])
  })
})

describe('/metrics', () => {
  test('is text 0.0.4: the kernel, http, components, pipelines, the process and health; equal names are added up', async () => {
    const counted = { ...http, metrics: () => [counterOf('keelson_http_requests_total', 3)] }
    const components = [component('cache'), component('cache')]
    const pipelines = [pipeline('stripe', 'closed')]
    const { headers, text } = await call(api({ http: counted, components, pipelines, health: healthy() }), '/metrics')
    expect(headers.get('Content-Type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const lines = text.split('\n')
    expect(lines).toContain('keelson_cache_calls_total 2')
    expect(lines).toContain('keelson_stripe_calls_total 1')
    expect(lines).toContain('keelson_http_requests_total 3')
    expect(lines).toContain('keelson_health_up{probe="ready"} 1')
    expect(lines).toContain('keelson_health_check_up{check="db",critical="true"} 1')
    expect(lines).toContain('keelson_http_unreadable_components 0')
    for (const name of ['keelson_kernel_units_total', 'keelson_process_memory_bytes'])
      expect(text).toContain(`# TYPE ${name}`)
  })

  test('one that throws, and one that contradicts another, are counted and left out', async () => {
    const gauge: MetricFamily = { ...counterOf('keelson_cache_calls_total', 9), type: 'gauge' }
    const components = [
      component('broken', { metrics: fails('no') }),
      component('cache'),
      component('liar', { metrics: () => [gauge] }),
      component('nothing', { metrics: () => [undefined as never] }),
      component('audit'),
    ]
    const { status, text } = await call(api({ components }), '/metrics')
    expect(status).toBe(200)
    const lines = text.split('\n')
    expect(lines).toContain('keelson_cache_calls_total 1')
    expect(lines).toContain('keelson_audit_calls_total 1')
    expect(lines).toContain('keelson_http_unreadable_components 3')
  })

  test('a component that is given twice is counted once', async () => {
    const cache = component('cache')
    const { text } = await call(api({ components: [cache, cache] }), '/metrics')
    expect(text.split('\n')).toContain('keelson_cache_calls_total 1')
  })

  test('a health that rejects is counted as unreadable', async () => {
    const health = { ...healthy(), readiness: () => Promise.reject(new Error('no')) }
    const { text } = await call(api({ health }), '/metrics')
    expect(text.split('\n')).toContain('keelson_http_unreadable_components 1')
    expect((await call(api({ health }), '/metrics/health')).status).toBe(500)
  })
})

test('/metrics/json has the families as their components count them', async () => {
  const { body } = await call(api({ components: [component('cache')] }), '/metrics/json')
  const families = body.families as MetricFamily[]
  expect(families).toContainEqual(counterOf('keelson_cache_calls_total', 1))
  expect(families.map(({ name }) => name)).toContain('keelson_process_info')
})

test('/metrics/system tells of the process', async () => {
  const reading = (): number[] => [
    process.cpuUsage().user / 1e6,
    process.uptime(),
    performance.eventLoopUtilization().active / 1e3,
  ]
  const before = reading()
  const { body } = await call(api(), '/metrics/system')
  const values = Object.fromEntries(
    (body.families as MetricFamily[]).flatMap(({ samples }) =>
      samples.map(({ name, labels, value }) => [`${name} ${Object.values(labels).join(' ')}`.trim(), value]),
    ),
  )
  const { node, v8 } = process.versions
  expect(values[`keelson_process_info ${node} ${v8} ${process.platform} ${process.arch}`]).toBe(1)
  expect(values['keelson_process_memory_bytes resident']).toBeGreaterThan(1e6)
  expect(values['keelson_process_memory_bytes heap_limit']).toBeGreaterThan(1e6)
  const after = reading()
  for (const [i, name] of ['cpu_seconds_total user', 'uptime_seconds', 'event_loop_seconds_total active'].entries()) {
    const value = values[`keelson_process_${name}`]
    expect(value).toBeGreaterThanOrEqual(before[i]!)
    expect(value).toBeLessThanOrEqual(after[i]!)
  }
  expect(values['keelson_process_event_loop_lag_seconds']).toBeLessThanOrEqual(after[1]! - before[1]!)
  expect(Object.keys(values).some((name) => name.startsWith('keelson_process_handles '))).toBe(true)
})

test('/metrics/health is health as metrics; without a health it is not there', async () => {
  const health = healthy()
  health.add('search', { check: () => false })
  const { body } = await call(api({ health }), '/metrics/health')
  const samples = (body.families as MetricFamily[]).flatMap(({ samples }) => samples)
  expect(samples).toContainEqual({
    name: 'keelson_health_check_up',
    labels: { check: 'search', critical: 'false' },
    value: 0,
  })
  expect(samples).toContainEqual({ name: 'keelson_health_degraded', labels: {}, value: 1 })
  expect(await call(api(), '/metrics/health')).toMatchObject({ status: 404, body: { code: 'not-found' } })
})

test('/circuit-breaker/status has each breaker, also of a pipeline that cannot say', async () => {
  const pipelines: PipelineLike[] = [
    { ...pipeline('stripe', 'open'), ...component('stripe', { state: 'degraded' }) },
    { name: 'bare', state: () => 'half-open' },
    { ...pipeline('broken', 'closed'), inspect: fails('no'), state: fails('no') },
  ]
  const { body } = await call(api({ pipelines }), '/circuit-breaker/status')
  expect(body).toMatchObject({
    breakers: [
      { name: 'stripe', state: 'open', status: { name: 'stripe', state: 'degraded' } },
      { name: 'bare', state: 'half-open' },
      { name: 'broken', state: 'unknown', status: { name: 'broken', state: 'down', lastError: { message: 'no' } } },
    ],
  })
  expect(body.breakers[1]).not.toHaveProperty('status')
  expect((await call(api(), '/circuit-breaker/status')).body).toEqual({ breakers: [] })
})

describe('/explain', () => {
  const row = (at: number, text: string) => ({ at, kind: 'event', text })

  test('puts the rows of all components in the order of their time', async () => {
    const asked: string[] = []
    const traced = (rows: ReturnType<typeof row>[]) => ({
      trace: async (id: string) => (asked.push(id), rows),
    })
    const components = [
      component('idempotency', traced([row(30, 'replayed'), row(10, 'claimed')])),
      component('cache'),
      component('webhooks', traced([row(20, 'delivered')])),
    ]
    const { body } = await call(api({ components }), '/explain/order%2F17')
    expect(body).toEqual({
      correlationId: 'order/17',
      rows: [row(10, 'claimed'), row(20, 'delivered'), row(30, 'replayed')],
      silent: [],
    })
    expect(asked).toEqual(['order/17', 'order/17'])
  })

  test('says which of them did not answer, and gives what the others know', async () => {
    const clock = virtualClock()
    const components = [
      component('a', { trace: hangs }),
      component('b', { trace: fails('no') }),
      component('c', { trace: async () => [null as never] }),
      component('d', { trace: async () => [row(1, 'known')] }),
    ]
    const answer = call(api({ components, clock }), '/explain/c-1')
    await clock.advance('1s')
    const { status, body } = await answer
    expect([status, body.rows]).toEqual([200, [row(1, 'known')]])
    expect(body.silent).toEqual(['NO_ANSWER: no answer within 1000 ms', 'FAILED: no', expect.stringMatching(/^FAILED/)])
  })
})

describe('/', () => {
  const evil = `<script>alert('1')</script>"&`

  test('is a page without any script, on which nothing of a component is markup', async () => {
    const lastError = { code: evil, at: Number.NaN, message: evil }
    const health = { ...healthy() }
    health.add('search', { check: () => Promise.reject(new Error(evil)) })
    const { status, headers, text } = await call(
      api({
        components: [component(evil, { state: 'degraded', lastError, counts: { [evil]: 1 } })],
        pipelines: [pipeline(evil, 'open')],
        health,
      }),
      '/',
    )
    expect([status, headers.get('Content-Type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(text).not.toMatch(/<script|\son\w+=|https?:|src=|href="(?!\?)/i)
    expect(text.split('&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#34;&#38;').length).toBeGreaterThan(5)
  })

  test('may load, run and be framed by nothing, and asks nobody else; its one style is allowed by its hash', async () => {
    const { headers, text } = await call(api(), '/')
    const [, style = ''] = /<style>([^]*?)<\/style>/.exec(text) ?? []
    const hash = createHash('sha256').update(style).digest('base64')
    expect(headers.get('Content-Security-Policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
    )
    expect(text).not.toContain('style=')
  })

  test('shows components, breakers, readiness and the process, whatever of it is broken', async () => {
    const clock = virtualClock()
    const answer = call(
      api({
        clock,
        components: [component('cache'), component('x', { inspect: hangs, metrics: fails('no') })],
        pipelines: [pipeline('stripe', 'half-open'), { name: 'bare', state: fails('no') }],
        health: healthy(),
      }),
      '/',
    )
    await clock.advance('1s')
    const { status, text } = await answer
    expect(status).toBe(200)
    for (const shown of ['cache', 'components[1]', 'no answer within 1000 ms', 'stripe', 'half-open', 'unknown', 'db'])
      expect(text).toContain(shown)
    expect(text).toContain('/explain/:correlationId')
  })
})

describe('the door', () => {
  const paths = ['/', '/status', '/metrics', '/metrics/json', '/metrics/system', '/metrics/health']
  paths.push('/circuit-breaker/status', '/explain/c-1')

  test.each(paths)('%s: 401 without a principal, no-store with one, HEAD, 405', async (path) => {
    const asked: string[] = []
    const inspect = async (): Promise<Status> => (asked.push(path), { name: 'x', state: 'ok', counts: {} })
    const closed = api({ components: [component('x', { inspect })], authorize: () => undefined })
    expect(await call(closed, path)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect(asked).toEqual([])
    const open = api({ health: healthy(), authorize: () => ({ id: 'operator' }) })
    const get = await call(open, path)
    expect([get.status, get.headers.get('Cache-Control')]).toEqual([200, 'no-store'])
    const head = await call(open, path, { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    const posted = await call(open, path, { method: 'POST' })
    expect([posted.status, posted.headers.get('Allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('problems are those of http: its type, its log', async () => {
    const logger = recordingLogger()
    const own = createHttp({ logger, problems: { typeBase: 'https://errors.example/' } })
    const failing = api({ http: own, authorize: fails('secret') })
    const { status, body, text } = await call(failing, '/status')
    expect([status, body.type]).toEqual([500, 'https://errors.example/internal-error'])
    expect(text).not.toContain('secret')
    expect(logger.errors).toMatchObject([{ err: { message: 'secret' }, status: 500 }])
  })
})

test.each([
  [{ authorize: undefined }, /opsApi: "authorize" is required: 'public' or a function/],
  [{ authorize: 'Public' }, /"authorize" must be 'public' or a function \(got 'Public'\)/],
  [{ http: {} }, /"http" must be an object with problem\(\)/],
  [{ components: undefined }, /"components" is required/],
  [{ components: {} }, /"components" must be an array of components/],
  [{ components: [{ inspect() {} }] }, /"components" must be an array of components/],
  [{ pipelines: [{ name: 'x' }] }, /"pipelines" must be an array of pipelines/],
  [{ pipelines: [null] }, /"pipelines" must be an array of pipelines/],
  [{ health: {} }, /"health" must be an object with liveness\(\)/],
  [{ timeout: 0 }, /"timeout" must be/],
  [{ metrics: true }, /unknown option "metrics"/],
])('opsApi refuses %j', (options, message) => {
  expect(() => opsApi({ http, components: [], authorize: 'public', ...options } as never)).toThrow(message)
})

test('a whole Component is none too much', () => {
  const whole: Component = { ...component('cache'), close: async () => {}, [Symbol.asyncDispose]: async () => {} }
  expect(() => api({ components: [whole] })).not.toThrow()
})
