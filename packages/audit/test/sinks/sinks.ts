import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import type { Subject } from '@keelson/kernel/conformance'
import { certificates } from '../../../../tools/certificates.ts'
import type { ArrivedEntry, SinkUnderTest } from '../../src/conformance/index.ts'
import { elasticsearchSink } from '../../src/elasticsearch/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'
import { otlpSink } from '../../src/otlp/index.ts'
import { splunkSink } from '../../src/splunk/index.ts'
import { syslogSink } from '../../src/syslog/index.ts'
import { webhookSink } from '../../src/webhook/index.ts'
import { startCollector } from './fake-collector.ts'
import { startElasticsearch } from './fake-elasticsearch.ts'
import { startReceiver, valuesIn } from './fake-receiver.ts'

const TOKEN = 'token-of-the-test'
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const ITEMS: Record<number, string> = {
  400: 'document_parsing_exception',
  403: 'cluster_block_exception',
  429: 'es_rejected_execution_exception',
  500: 'exception',
  503: 'unavailable_shards_exception',
}
/** To make keys takes a while. */
let tls: ReturnType<typeof certificates<'syslog'>> | undefined

/** Every sink that this package has. */
export const sinks: Record<string, Subject<SinkUnderTest>> = {
  Elasticsearch: {
    has: ['options', 'network', 'status', 'body', 'items', 'once', 'setup'],
    async make() {
      const server = await startElasticsearch()
      const index = `keelson-audit-test-${randomBytes(6).toString('hex')}`
      const headers = { 'x-secret': TOKEN }
      return {
        sink: (o) => elasticsearchSink({ url: server.url, index, headers, ...o }),
        arrived: async () => (await server.sources()).map((source) => ({ document: Buffer.from(source) })),
        fail(fault) {
          if (fault.kind === 'setup') server.refusedTemplates.push(fault.status)
          else if (fault.kind === 'html') server.faults.push({ kind: 'status', status: 200, body: '<html></html>' })
          else if (fault.kind === 'items') {
            const items = Object.entries(fault.items).map(([i, status]) => [i, { status, type: ITEMS[status]! }])
            server.faults.push({ kind: 'items', items: Object.fromEntries(items) as Record<number, never> })
          } else if (fault.kind === 'status') {
            const { status, retryAfter } = fault
            const headers = { ...(retryAfter !== undefined && { 'retry-after': retryAfter }), location: '/_bulk' }
            server.faults.push({ kind: 'status', status, headers })
          } else if (fault.kind !== 'invalid' && fault.kind !== 'partial') server.faults.push(fault)
        },
        secrets: [TOKEN],
        dispose: async () => server[Symbol.asyncDispose](),
      }
    },
  },

  Splunk: {
    has: ['options', 'network', 'status', 'body', 'names'],
    async make() {
      const receiver = await startReceiver({
        read({ path, headers, body }) {
          if (path !== '/services/collector/event') throw new Error(path)
          if (headers.authorization !== `Splunk ${TOKEN}`) throw new Error('the token')
          return valuesIn(body).map((event) => {
            const at = event.indexOf('"event":') + '"event":'.length
            return { document: Buffer.from(event.slice(at, -1)) }
          })
        },
        yes: () => ({ text: 'Success', code: 0 }),
        invalid: (place) => ({
          status: 400,
          body: { text: 'Invalid data format', code: 6, 'invalid-event-number': place },
        }),
      })
      return { ...receiver, sink: (o) => splunkSink({ url: receiver.url, token: TOKEN, ...o }), secrets: [TOKEN] }
    },
  },

  OTLP: {
    has: ['options', 'network', 'status', 'body', 'counts'],
    async make() {
      const receiver = await startReceiver({
        read: ({ path, headers, body }) => {
          if (path !== '/v1/logs' || headers['x-key'] !== TOKEN) throw new Error(path)
          return recordsIn(body)
        },
        yes: () => ({}),
        partial: (rejected) => ({ partialSuccess: { rejectedLogRecords: String(rejected), errorMessage: 'too old' } }),
      })
      const headers = { 'x-key': TOKEN }
      return { ...receiver, sink: (o) => otlpSink({ url: receiver.url, headers, ...o }), secrets: [TOKEN] }
    },
  },

  webhook: {
    has: ['options', 'network', 'status'],
    async make() {
      const receiver = await startReceiver({
        read({ headers, body }) {
          new Webhook(SECRET).verify(body, headers as Record<string, string>)
          const [entries = ''] = valuesIn(body.slice(body.indexOf('"entries":')))
          return valuesIn(entries.slice(1, -1)).map((document) => ({ document: Buffer.from(document) }))
        },
        yes: () => ({}),
      })
      return { ...receiver, sink: (o) => webhookSink({ url: receiver.url, secret: SECRET, ...o }), secrets: [SECRET] }
    },
  },

  JSONL: {
    has: ['options', 'once', 'state'],
    async make() {
      const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
      return {
        // Small parts, so that every case goes over several.
        sink: (o) => jsonlSink({ path: join(dir, 'audit.jsonl'), rotateBytes: 4_096, ...o }),
        arrived: async () => linesIn(dir),
        dispose: async () => rm(dir, { recursive: true }),
      }
    },
  },

  'syslog over TLS': {
    has: ['options', 'network', 'settles'],
    async make() {
      tls ??= certificates({ syslog: { names: 'IP:127.0.0.1', days: 2 } })
      const { ca, pairs } = tls
      const collector = await startCollector(pairs.syslog)
      return { ...collector, sink: (o) => syslogSink({ host: '127.0.0.1', port: collector.port, tls: { ca }, ...o }) }
    },
  },
}

function recordsIn(body: string): ArrivedEntry[] {
  interface Attribute {
    readonly key: string
    readonly value: { readonly stringValue?: string; readonly intValue?: string }
  }
  interface Record0 {
    readonly body: { readonly stringValue: string }
    readonly attributes: readonly Attribute[]
  }
  const { resourceLogs } = JSON.parse(body) as {
    resourceLogs: [{ scopeLogs: [{ logRecords: readonly Record0[] }] }]
  }
  return resourceLogs[0].scopeLogs[0].logRecords.map(({ body: { stringValue }, attributes }) => {
    const told = Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))
    const seal = { log: told['seal.log']!, index: Number(told['seal.index']), leaf: told['seal.leaf']! }
    return { document: Buffer.from(stringValue), seal }
  })
}

/** The parts by their number, and then the file that grows. */
async function linesIn(dir: string): Promise<ArrivedEntry[]> {
  const part = (name: string): number => Number(name.split('.')[2] ?? Infinity)
  const names = (await readdir(dir)).toSorted((a, b) => part(a) - part(b))
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'latin1')))
  const lines = texts.flatMap((lines) => lines.split('\n').filter((line) => line !== ''))
  return lines.map((line) => ({ document: Buffer.from(line, 'latin1') }))
}
