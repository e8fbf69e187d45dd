import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AsyncLocalStorage } from 'node:async_hooks'
import * as api from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { context, KeelsonError, traced } from '../../src/index.ts'
import { CHANNELS } from '../../src/opentelemetry/channels.ts'
import { instrument } from '../../src/opentelemetry/index.ts'

const INBOUND = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const [, TRACE] = INBOUND.split('-')

const exporter = new InMemorySpanExporter()
const active = new AsyncLocalStorage<api.Context>()
api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
api.context.setGlobalContextManager({
  active: () => active.getStore() ?? api.ROOT_CONTEXT,
  with: (of, fn, self, ...args) => active.run(of, () => Reflect.apply(fn, self, args)) as never,
  bind: (_, target) => target,
  enable: () => undefined as never,
  disable: () => undefined as never,
})

let stop: () => void
beforeEach(() => {
  exporter.reset()
  stop = instrument(api)
})
afterEach(() => stop())

const named = (name: string) => exporter.getFinishedSpans().find((span) => span.name === name)!
const inside = async (): Promise<string | undefined> => context.get()?.traceparent

test('an operation within another is its child, and what it sends out carries the ids of its own span', async () => {
  const sent = await context.run({ correlationId: 'c-1', traceparent: INBOUND }, () =>
    traced(
      'idempotency:transaction',
      () => ({ op: 'book' }),
      () => traced('kernel:unit', () => ({}), inside),
    ),
  )
  const [outer, inner] = [named('idempotency:transaction'), named('kernel:unit')]
  expect(outer.spanContext().traceId).toBe(TRACE)
  expect(outer.parentSpanContext).toMatchObject({ spanId: 'b7ad6b7169203331' })
  expect(inner.parentSpanContext?.spanId).toBe(outer.spanContext().spanId)
  expect(sent).toBe(`00-${TRACE}-${inner.spanContext().spanId}-01`)
  expect(outer.attributes).toEqual({ 'keelson.op': 'book', 'keelson.correlation_id': 'c-1' })
})

test('a poll that belongs to nobody is no span; a call that belongs to nobody begins a trace', async () => {
  await traced('webhooks:claim', () => ({}), inside)
  expect(exporter.getFinishedSpans()).toEqual([])
  const sent = await traced('idempotency:run', () => ({}), inside)
  expect(named('idempotency:run').parentSpanContext).toBeUndefined()
  expect(sent).toContain(named('idempotency:run').spanContext().spanId)
})

test("the application's own span is the parent of what is called in it, inside of one of ours too", async () => {
  const tracer = api.trace.getTracer('app')
  await tracer.startActiveSpan('outside', async (outside) => {
    await traced(
      'idempotency:run',
      () => ({}),
      async () => {
        await traced('cache:read', () => ({}), inside)
        await tracer.startActiveSpan('handler', async (handler) => {
          await traced('resilience:call', () => ({}), inside)
          handler.end()
        })
      },
    )
    outside.end()
  })
  expect(named('idempotency:run').parentSpanContext?.spanId).toBe(named('outside').spanContext().spanId)
  expect(named('cache:read').parentSpanContext?.spanId).toBe(named('idempotency:run').spanContext().spanId)
  expect(named('resilience:call').parentSpanContext?.spanId).toBe(named('handler').spanContext().spanId)
})

test("a worker's attempt is part of the trace of its event, whatever is open around the worker", async () => {
  await api.trace.getTracer('app').startActiveSpan('other', async (other) => {
    await context.resume({ traceparent: INBOUND }, () => traced('webhooks:attempt', () => ({}), inside))
    other.end()
  })
  expect(named('webhooks:attempt').parentSpanContext).toMatchObject({ traceId: TRACE, spanId: 'b7ad6b7169203331' })
})

test('a request is a child of what came in, its name is the route, and a 5xx is an error', async () => {
  const message: Record<string, unknown> = { method: 'GET', path: '/orders/7', parent: INBOUND }
  await traced(
    'http:request',
    () => message,
    async () => void Object.assign(message, { route: '/orders/:id', status: 503 }),
  )
  const request = named('GET /orders/:id')
  expect(request.parentSpanContext?.spanId).toBe('b7ad6b7169203331')
  expect(request.kind).toBe(api.SpanKind.SERVER)
  expect(request.status.code).toBe(api.SpanStatusCode.ERROR)
  expect(request.attributes).toMatchObject({ 'http.route': '/orders/:id', 'http.response.status_code': 503 })
})

test('a replay has a link to the run whose answer it is', async () => {
  const details = { operationId: 'o-1', firstTraceparent: INBOUND }
  await context.run({ traceparent: '00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01' }, () =>
    traced(
      'http:replay',
      () => details,
      async () => {},
    ),
  )
  expect(named('http:replay').links.map(({ context: first }) => first.traceId)).toEqual([TRACE])
})

test('an error comes out as it is; its span has its code, and not its words', async () => {
  const own = new KeelsonError('KEY_IN_USE', 'the key of Ann is in use')
  await expect(
    traced(
      'idempotency:run',
      () => ({}),
      () => Promise.reject(own),
    ),
  ).rejects.toBe(own)
  const span = named('idempotency:run')
  expect(span.attributes['error.type']).toBe('KEY_IN_USE')
  expect(JSON.stringify([span.attributes, span.status, span.events])).not.toContain('Ann')
})

test('a tracer that throws does not break the work', async () => {
  stop()
  const broken = () => {
    throw new Error('broken')
  }
  stop = instrument({ ...api, trace: { ...api.trace, getTracer: () => ({ startSpan: broken }) } })
  const seen = await context.run({ correlationId: 'c-1', traceparent: INBOUND }, () =>
    traced('idempotency:run', () => ({}), inside),
  )
  expect(seen).toBe(INBOUND)
})

test('only the packages that are asked for, and nothing after the end', async () => {
  stop()
  stop = instrument(api, { packages: ['cache'] })
  await traced('idempotency:run', () => ({}), inside)
  await traced('cache:read', () => ({}), inside)
  expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['cache:read'])
  stop()
  await traced('cache:read', () => ({}), inside)
  expect(exporter.getFinishedSpans()).toHaveLength(1)
  expect(() => instrument(api, { packages: ['cash'] })).toThrow(/"packages" must be an array of audit, cache/)
})

test('every channel of the packages is known', () => {
  const packages = join(import.meta.dirname, '../../..')
  const sources = readdirSync(packages)
    .flatMap((name) => glob(join(packages, name, 'src')))
    .filter((path) => path.endsWith('.ts') && !/conformance|traced\.ts$/.test(path))
    .map((path) => readFileSync(path, 'utf8'))
  const told = sources.flatMap((text) => [...text.matchAll(/\btraced\(\s*['`]([^'`]+)['`]/g)].map(([, name]) => name!))
  const modes = ['run', 'transaction'].map((mode) => `idempotency:${mode}`)
  const all = told.flatMap((name) => (name === 'idempotency:${mode}' ? modes : name))
  expect(Object.keys(CHANNELS)).toEqual([...new Set(all)].toSorted())
})

const glob = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path))
