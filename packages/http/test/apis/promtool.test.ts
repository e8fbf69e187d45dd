import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import type { Component } from '@keelson/kernel'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import { migrate, transact } from '@keelson/kernel/postgres'
import { createPipeline } from '@keelson/resilience'
import { checks, createHealth } from '@keelson/resilience/health'
import { createLimiter } from '@keelson/resilience/limiter'
import { createHttp, watchDatabase } from '@keelson/http'
import { opsApi } from '@keelson/http/apis'
import { promtoolFaults } from '../../../../tools/servers/promtool.ts'
import { exchange } from '../support.ts'
import { auditAtWork } from './audit-at-work.ts'
import { cachesAtWork } from './cache-at-work.ts'
import { call } from './call.ts'
import { syncInUse } from './sync-in-use.ts'
import { webhooksAtWork } from './webhooks-at-work.ts'

test(
  'promtool accepts /metrics with every component of ours, used, and docs/metrics.md says what is there',
  { timeout: 300_000 },
  async () => {
    await using opened = new AsyncDisposableStack()
    const schema = `apis_${randomUUID().slice(0, 8)}`
    const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 2 })
    opened.defer(() => pool.end())
    const redis = new Redis(inject('redisUrl'))
    opened.defer(() => redis.disconnect())
    const inPostgres = postgresStore(pool, { schema })
    await migrate(pool, [inPostgres])
    opened.defer(async () => void (await pool.query(`drop schema ${schema} cascade`)))

    const stores = [memoryStore(), redisStore(redis, { prefix: schema }), inPostgres]
    const idempotency = stores.map((store) => opened.use(createIdempotency({ store, storeTimeout: '10s' })))
    for (const one of idempotency) {
      const charge = { scope: 'm1', op: 'charge', key: 'k1' }
      await one.run(charge, async () => 'done')
      await one.run(charge, async () => 'replayed')
      await one.run({ ...charge, key: 'k2' }, () => Promise.reject(new Error('no'))).catch(() => {})
    }
    const failing = { kind: 'mail', statements: () => [], afterCommit: () => Promise.reject(new Error('no')) }
    await transact(pool, async () => ({ value: undefined, effects: [failing] }))

    const health = createHealth({ timeout: '30s' })
    health.add('db', { ...checks.database(watchDatabase(pool)), critical: true })
    health.add('redis', checks.redis(redis))
    health.add('odd.name:1', { check: () => false })
    health.started()
    const caches = await cachesAtWork(opened, inject('redisUrl'), pool, schema)
    const http = createHttp({ idempotency: idempotency[0]!, cache: caches[0]!, scope: () => 'm1' })
    for (const key of ['k1', '', 'broken key']) {
      const x = exchange({ route: '/orders/:id', headers: [['Idempotency-Key', key]] })
      http.begin(x)
      await http.compile({ idempotent: { required: true } }).late(x)
      x.end(201)
    }
    const streamed = exchange({
      headers: [
        ['Idempotency-Key', 'k3'],
        ['traceparent', '00-0-0-0'],
      ],
    })
    http.begin(streamed)
    await http.compile({ idempotent: { required: true } }).late(streamed)
    await streamed.answered({ kind: 'part', status: 200, headers: [], why: 'stream' })
    const read = exchange({ method: 'GET' })
    http.begin(read)
    await http.compile({ cached: { ttl: '1m', per: 'scope' } }).late(read)
    await read.answered({ kind: 'whole', before: [], response: { status: 200, headers: [], body: Buffer.from('ok') } })
    const pipeline = opened.use(createPipeline({ name: 'carrier', retry: true, breaker: true, limit: 10 }))
    await pipeline.run(() => 'answered')
    const away = { take: reject, peek: reject, refund: reject, reset: reject }
    const limiters = [undefined, away].map((store) => {
      const quotas = { name: 'minute', limit: 1, per: '1m' } as const
      return opened.use(createLimiter({ name: 'api', quotas, ...(store === undefined ? {} : { store }) }))
    })
    for (const limiter of limiters) {
      for (let i = 0; i < 3; i++) await limiter.take({ scope: 'm1', key: 'k' })
    }
    const limited = createHttp({ limiters: { api: limiters[0]! }, scope: () => 'm1' })
    const tooMany = exchange()
    limited.begin(tooMany)
    await limited.compile({ rateLimit: { limiter: 'api', by: () => 'k' } }).late(tooMany)
    const webhooks = await webhooksAtWork(opened)
    const audit = await auditAtWork(opened)
    const sync = await syncInUse(opened)
    const untold = createHttp({ audit: { entry: audit.entry, record: reject }, scope: () => 'm1' })
    const done = exchange()
    untold.begin(done)
    await untold.compile({ audited: { action: 'order.create' } }).late(done)
    await done.answered({ kind: 'abandoned' })
    const cores = [...idempotency, ...caches, pipeline, ...limiters, webhooks, audit, sync]
    const components: Component[] = [limited, untold, ...cores]
    const api = opsApi({ http, components, health, authorize: 'public', timeout: '30s' })
    const { status, text } = await call(api, '/metrics')
    expect(status).toBe(200)
    for (const name of [
      'keelson_idempotency_',
      'keelson_http_requests_total',
      'keelson_kernel_',
      'keelson_resilience_calls_total',
      'keelson_process_',
      'keelson_health_check_up',
    ])
      expect(text).toContain(name)
    expect(text).toContain('keelson_health_check_up{check="db",critical="true"} 1')
    expect(text).toContain('keelson_http_unreadable_components 0')
    expect(await promtoolFaults(text)).toEqual([])

    expect(documented().toSorted()).toEqual(exposed(text).toSorted())
  },
)

async function reject(): Promise<never> {
  throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' })
}

/** Name, type and labels of each row of the page for people. */
function documented(): string[] {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/metrics.md'), 'utf8')
  const rows = page.matchAll(/^\| `(keelson_\w+)` *\| (\w+) *\|([^|]*)\|/gm)
  return [...rows].map(([, name, type, labels]) => row(name!, type!, labels!.matchAll(/`(\w+)`/g)))
}

/** The same of each family of a page for Prometheus. */
function exposed(page: string): string[] {
  return [...page.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => {
    const samples = page.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{(.*)\\}`, 'gm'))
    return row(
      name!,
      type!,
      [...samples].flatMap(([, labels]) => [...labels!.matchAll(/(\w+)="/g)]),
    )
  })
}

function row(name: string, type: string, labels: Iterable<RegExpMatchArray>): string {
  const names = new Set([...labels].map(([, label]) => label))
  names.delete('le')
  return [name, type, ...[...names].toSorted()].join(' ')
}
