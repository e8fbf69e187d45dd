import type { AsyncLocalStorage } from 'node:async_hooks'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createHttp, problem, type Http } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { exchange, type Given } from './support.ts'

function serve(http: Http, given: Given, status = 200): void {
  const x = exchange(given)
  http.begin(x)
  x.end(status)
}

/** Labels and value of each sample of a family. */
function samples(http: Http, name: string): [string, number][] {
  const family = http.metrics().find((one) => one.name === `keelson_http_${name}`)
  return (family?.samples ?? []).map(({ labels, value }) => [Object.values(labels).join(' '), value])
}

describe('metrics', () => {
  it('count requests by method, template and status', () => {
    const http = createHttp()
    for (let id = 0; id < 10_000; id++) serve(http, { path: `/orders/${id}`, route: '/orders/:id' })
    serve(http, { method: 'GET', path: '/orders/1', route: '/orders/:id' }, 404)
    serve(http, { method: 'BREW', path: '/pot', route: '(none)' }, 404)
    expect(samples(http, 'requests_total')).toEqual([
      ['POST /orders/:id 200', 10_000],
      ['GET /orders/:id 404', 1],
      ['other (none) 404', 1],
    ])
    expect(JSON.stringify(http.metrics())).not.toContain('/orders/1')
    const counted = http.metrics().find(({ name }) => name === 'keelson_http_request_seconds')
    expect(counted?.samples.filter(({ name }) => name.endsWith('_count')).map(({ value }) => value)).toEqual([
      10_000, 1, 1,
    ])
  })

  it('know what is under way, and who left', () => {
    const http = createHttp()
    const xs = [exchange(), exchange()]
    for (const x of xs) http.begin(x)
    expect(samples(http, 'in_flight')).toEqual([['', 2]])
    xs[0]!.leave()
    xs[1]!.end(200)
    expect(samples(http, 'in_flight')).toEqual([['', 0]])
    expect(samples(http, 'requests_total')).toEqual([
      ['POST /orders aborted', 1],
      ['POST /orders 200', 1],
    ])
  })

  it('count what came of keys, and answers that are not kept', async () => {
    const idempotency = createIdempotency({ store: memoryStore() })
    const http = createHttp({ idempotency, scope: () => 'm1' })
    const route = http.compile({ idempotent: { required: true } })
    const ask = async (headers: Given['headers'] & {}, body = 'a', type = 'text/plain'): Promise<void> => {
      const x = exchange({ headers, body })
      http.begin(x)
      if ((await route.late(x)) !== undefined) return
      const head = { status: 200, headers: [['Content-Type', type] as const] }
      if (type === 'text/event-stream') await x.answered({ kind: 'part', ...head, why: 'stream' })
      else await x.answered({ kind: 'whole', before: [], response: { ...head, body: Buffer.from('ok') } })
    }
    await ask([['Idempotency-Key', 'k1']])
    await ask([['Idempotency-Key', 'k1']])
    await ask([['Idempotency-Key', 'k1']], 'b')
    await ask([['Idempotency-Key', 'k2']], 'a', 'text/event-stream')
    await ask([['Idempotency-Key', 'k2']], 'a')
    await ask([['Idempotency-Key', '']])
    await ask([])
    expect(samples(http, 'idempotency_total')).toEqual([
      ['/orders executed', 2],
      ['/orders replayed', 1],
      ['/orders key_reused', 1],
      ['/orders answer_not_retained', 1],
      ['/orders malformed', 1],
      ['/orders missing', 1],
    ])
    expect(samples(http, 'not_stored_total')).toEqual([['stream', 1]])
    await idempotency.close()
  })

  it('count ids and traces that mean nothing', () => {
    const http = createHttp()
    serve(http, {
      headers: [
        ['x-correlation-id', 'no'],
        ['traceparent', '00-0-0-0'],
        ['x-retry-attempt', 'x'],
      ],
    })
    serve(http, { headers: [['x-correlation-id', 'a-good-one']] })
    expect(samples(http, 'bad_headers_total')).toEqual([
      ['x-correlation-id', 1],
      ['traceparent', 1],
      ['x-retry-attempt', 1],
    ])
  })
})

it('inspect() tells the adapter, the policies with their routes, and the last error', async () => {
  const http = createHttp()
  http.adapter('express')
  const policy = { deadline: '5s' } as const
  const route = http.compile(policy)
  const x = exchange({ route: '/orders/:id' })
  http.begin(x)
  await route.early(x)
  http.problem(new Error('boom'), x)
  http.problem(problem(409, 'sold-out'), x)
  expect(await http.inspect()).toEqual({
    name: 'http',
    state: 'ok',
    counts: { requests: 1, errors: 1 },
    lastError: { code: 'internal-error', at: expect.any(Number) as number, message: 'boom' },
    adapter: 'express',
    routes: [{ policy, at: ['POST /orders/:id'] }],
  })
  await http.close()
  expect((await http.inspect()).state).toBe('down')
})

it('keelson:http:request is told of the beginning and the end of a request', async () => {
  const told: unknown[] = []
  const hear = (message: unknown): void => void told.push({ ...(message as object) })
  subscribe('tracing:keelson:http:request:start', hear)
  subscribe('tracing:keelson:http:request:asyncEnd', hear)
  const http = createHttp()
  const x = exchange({ path: '/orders/1', route: '/orders/:id' })
  const { correlationId, traceparent } = http.begin(x)
  x.end(201)
  await setImmediate()
  unsubscribe('tracing:keelson:http:request:start', hear)
  unsubscribe('tracing:keelson:http:request:asyncEnd', hear)
  const begun = { method: 'POST', path: '/orders/1', correlationId, traceparent }
  expect(told).toMatchObject([begun, { ...begun, route: '/orders/:id', status: 201, bytes: 100, aborted: false }])
})

it('a tracer that makes the request a span gives it its traceparent: in the context, and in the answer', async () => {
  const storage = (globalThis as never as Record<symbol, AsyncLocalStorage<object>>)[Symbol.for('keelson.context')]!
  const inbound = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const span = '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01'
  const parents: unknown[] = []
  const start = channel('tracing:keelson:http:request:start')
  start.bindStore(storage, (message) => {
    parents.push((message as { parent: unknown }).parent)
    return { traceparent: span }
  })
  const http = createHttp()
  const headers: [string, string][][] = [[['traceparent', inbound]], [['traceparent', 'none']], []]
  for (const given of headers) {
    const x = exchange({ headers: given })
    expect(http.begin(x).traceparent).toBe(span)
    x.end(200)
    expect(x.answerHeaders['traceparent']).toBe(span)
  }
  start.unbindStore(storage)
  expect(parents).toEqual([inbound, undefined, undefined])
})

it('keelson:http:capture and :replay are told of what is stored and given again', async () => {
  const told: object[] = []
  const hear = (message: unknown): void => void told.push({ ...(message as object) })
  const names = ['tracing:keelson:http:capture:start', 'tracing:keelson:http:replay:start']
  for (const name of names) subscribe(name, hear)
  const idempotency = createIdempotency({ store: memoryStore() })
  const http = createHttp({ idempotency, scope: () => 'm1' })
  const route = http.compile({ idempotent: {} })
  const ids: unknown[] = []
  for (const _ of ['first', 'again']) {
    const x = exchange({ headers: [['Idempotency-Key', 'k1']] })
    const known = http.begin(x)
    ids.push(known.traceparent)
    await context.run(known, async () => {
      if ((await route.late(x)) === undefined)
        await x.answered({ kind: 'whole', before: [], response: { status: 201, headers: [], body: Buffer.from('ok') } })
    })
  }
  for (const name of names) unsubscribe(name, hear)
  expect(told).toMatchObject([
    { method: 'POST', route: '/orders', kind: 'whole', status: 201, bytes: 2 },
    { method: 'POST', route: '/orders', firstTraceparent: ids[0], traceparent: ids[1] },
  ])
  await idempotency.close()
})
