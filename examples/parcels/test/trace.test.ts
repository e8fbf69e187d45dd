import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as api from '@opentelemetry/api'
import { generateSecret } from '@keelson/webhooks'
import { instrument } from '@keelson/kernel/opentelemetry'
import { createSyncClient } from '@keelson/sync/client'
import { fileStore } from '@keelson/sync/client/file'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { startPostgres } from '../../../tools/servers/postgres.ts'
import { until } from '../../../tools/servers/until.ts'
import type { Parcel } from '../src/domain/shipments.ts'
import { openLogger } from '../src/logger.ts'
import { startNodeProcess } from '../src/node-process.ts'
import { startNode } from '../src/node.ts'
import { openSystem } from '../src/system.ts'
import { startRecorder } from './recorder.ts'
import { shared } from './shared.ts'

const PATIENCE_MS = 60_000
// Its own: on a database of others their nodes would deliver our events, and ours theirs.
const stages = { Postgres: startPostgres, 'the embedded stores': async () => undefined }

test.each(Object.entries(stages))(
  'one trace and one id, from the request to the carrier, the receiver and the courier: on %s',
  async (name, start) => {
    await using stack = new AsyncDisposableStack()
    const server = stack.use(await start())
    const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const exporter = new InMemorySpanExporter()
    const all = () => exporter.getFinishedSpans()
    const named = (span: string) => all().filter(({ name }) => name === span)
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    const secret = generateSecret()
    const [carrierProcess, receiverProcess] = await Promise.all([
      startNodeProcess({}, 'carrier.ts'),
      startNodeProcess({ WEBHOOK_SECRET: secret, LOSE_FIRST_ANSWER: 1 }, 'receiver.ts'),
    ])
    for (const each of [carrierProcess, receiverProcess]) stack.defer(async () => void (await each.end('SIGKILL')))
    const carrier = stack.use(await startRecorder(carrierProcess.ready.url))
    const receiver = stack.use(await startRecorder(receiverProcess.ready.url))
    const lines: { correlationId?: string; msg: string }[] = []
    const to = { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string }) }
    const settings = {
      ...shared,
      ...(server === undefined ? {} : { DATABASE_URL: server.url }),
      CARRIER_URL: carrier.url,
      SERVICE_TIMEOUT: 60_000,
      WEBHOOK_ALLOW: '127.0.0.1/32',
      AUDIT_LOG: `trace-${process.pid}-${name.length}`,
      BOOKINGS_PER_MINUTE: 1_000_000,
    }
    const system = await openSystem(settings, { logger: openLogger({ LOG_LEVEL: 'info' }, to) })
    stack.defer(() => system.close())
    const node = await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK: 'express' })
    stack.defer(() => node.close())
    // The global one is shared with the other case.
    stack.defer(instrument({ trace: { ...api.trace, ...apiOf(provider) }, context: api.context }))
    const root = provider.getTracer('client').startSpan('a merchant').spanContext()
    const id = `trace-${process.pid}-${name.length}`
    const ids = { traceparent: `00-${root.traceId}-${root.spanId}-01`, 'x-correlation-id': id }
    const ask = (path: string, body?: object): Promise<Response> =>
      fetch(node.url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { ...ids, authorization: 'Bearer m1', 'content-type': 'application/json', 'idempotency-key': id },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })

    // A retry, and a breaker that opens.
    const quote = async (to: string): Promise<number> => (await ask(`/quotes?to=${to}&kg=3`)).status
    carrier.fail(1)
    expect(await quote('Rome')).toBe(200)
    carrier.fail(1_000)
    await until('the breaker is open', PATIENCE_MS, async () => {
      expect([200, 503]).toContain(await quote('Rome'))
      return named('resilience:call').some((span) => span.attributes['keelson.outcome'] === 'open') || undefined
    })
    // A webhook whose first answer is lost.
    const retry = { schedule: [0, '100ms', '1s', '10s'] }
    const types = ['shipment.created']
    const made = await ask('/webhooks/endpoints', { url: `${receiver.url}/parcels`, types, secret, retry })
    expect(made.status).toBe(201)
    const booked = await ask('/shipments', { to: id, kg: 2 })
    expect(booked.status).toBe(201)
    const again = await ask('/shipments', { to: id, kg: 2 })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    const { id: shipment } = (await booked.json()) as { id: string }
    await until('the merchant has it', PATIENCE_MS, async () => named('webhooks:attempt').length >= 2 || undefined)
    // The courier's device.
    const device = createSyncClient({
      url: `${node.url}/sync`,
      store: fileStore(join(folder, 'c1')),
      collections: { parcel: {} },
      headers: () => ({ ...ids, authorization: 'Bearer c1' }),
    })
    stack.defer(() => device.close())
    await device.start()
    const parcels = device.collection<Parcel>('parcel')
    await until('the courier sees it', PATIENCE_MS, async () => (await parcels.get(shipment)) && (true as const))
    await parcels.patch(shipment, { note: 'ring twice' })
    await until('nothing is pending', PATIENCE_MS, async () => device.pending().count === 0 || undefined)
    await device.close()
    await node.close()
    const known = (): Set<string> => new Set([root.spanId, ...all().map((span) => span.spanContext().spanId)])
    const orphans = () => all().filter(({ parentSpanContext }) => !known().has(parentSpanContext?.spanId ?? ''))
    // A request ends a little later than its answer.
    await until('each parent has ended', PATIENCE_MS, async () => orphans().length === 0 || undefined)
    expect(new Set(all().map((span) => span.spanContext().traceId))).toEqual(new Set([root.traceId]))
    const names = new Set(all().map((span) => span.name))
    for (const part of ['POST /shipments', 'GET /quotes', 'idempotency:transaction', 'kernel:unit', 'http:replay']) {
      expect(names).toContain(part)
    }
    expect(names).toContain('sync:push')
    expect(named('resilience:call').map(({ attributes }) => attributes['keelson.attempts'])).toContain(2)
    expect(named('http:replay')[0]!.links).toHaveLength(1)
    // What left the process is a part of it, and comes from a span that is known.
    expect(receiver.requests.length).toBeGreaterThanOrEqual(2)
    for (const headers of [...carrier.requests, ...receiver.requests]) {
      const [, trace, span] = String(headers['traceparent']).split('-')
      expect(trace).toBe(root.traceId)
      expect(known()).toContain(span)
      expect(headers['x-correlation-id']).toBe(id)
    }

    // The one id is in every record.
    const { rows } = await system.db.query(
      `select
  (select count(*)::int from keelson.idempotency where trace->>'correlationId' = $1) as answers,
  (select count(*)::int from keelson.webhook_event where correlation = $1 and position($2 in traceparent) > 0) as events,
  (select count(*)::int from keelson.sync_op where correlation = $1) as ops,
  (select count(*)::int from keelson.audit_entry
    where convert_from(body, 'UTF8')::jsonb->'audit'->>'correlation' = $1
      and convert_from(body, 'UTF8')::jsonb->'trace'->>'id' = $2) as entries`,
      [id, root.traceId],
    )
    expect(rows[0]).toMatchObject({ answers: 1, events: 1, ops: 1 })
    // The booking, the endpoint and the note.
    expect((rows[0] as { entries: number }).entries).toBe(3)
    const explained = async (): Promise<string[]> =>
      (await Promise.all([system.idempotency, system.webhooks].map((each) => each.trace!(id))))
        .flat()
        .map(({ kind }) => kind)
    const isAttempt = (kind: string): boolean => kind === 'webhook.attempt'
    // An attempt is written down a little later than it has ended.
    await until('both attempts are known', PATIENCE_MS, async () => {
      return (await explained()).filter(isAttempt).length >= 2 || undefined
    })
    const kinds = (await explained()).filter((kind) => !isAttempt(kind))
    expect(kinds).toEqual(['idempotency.claim', 'idempotency.effect', 'webhook.event'])
    // And in every line that was logged meanwhile.
    const requests = lines.filter(({ msg }) => msg === 'request ended')
    expect(requests.length).toBeGreaterThanOrEqual(5)
    for (const line of requests) expect(line.correlationId).toBe(id)
  },
)

/** The part of the module that depends on who is installed. */
function apiOf(provider: BasicTracerProvider) {
  return {
    getTracer: (name: string) => provider.getTracer(name),
    getActiveSpan: () => undefined,
    setSpanContext: api.trace.setSpanContext.bind(api.trace),
    deleteSpan: api.trace.deleteSpan.bind(api.trace),
  }
}
