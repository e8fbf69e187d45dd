import { Client } from '@elastic/elasticsearch'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { createLogger } from 'winston'
import { ElasticsearchTransport } from 'winston-elasticsearch'
import { documentOf } from './entry.ts'

/** A logger that ships to the SIEM at a URL. */
export interface Logger {
  /** What it answers says that the entry was accepted. */
  log(n: number): Promise<unknown> | void
  /** Sends what it has; there may be nothing to ask for that. */
  flush?(): Promise<unknown>
  /** As its documents say that an application ends it. */
  end(): Promise<unknown>
}

/** `flushMs`: how long an entry may wait for others; default: the logger's own. */
export type OpenLogger = (url: string, flushMs?: number) => Logger

export const INDEX = 'audit-bench'

export const pinoElasticsearch: OpenLogger = (url, flushMs) => {
  const transport = pino.transport({
    target: 'pino-elasticsearch',
    options: {
      index: INDEX,
      node: url,
      esVersion: 8,
      flushBytes: 1000,
      ...(flushMs !== undefined && { flushInterval: flushMs }),
    },
  })
  // Its worker may give up on its own: then there is nothing to end.
  const ended = new Promise<void>((resolve) => {
    for (const event of ['close', 'error']) transport.on(event, resolve)
  })
  const logger = pino({ level: 'info' }, transport)
  return {
    // It breaks on a document with a '@timestamp': its own time is a number.
    log: (n) => logger.info({ ...documentOf(n), '@timestamp': undefined }, 'user.role.update'),
    async end() {
      transport.end()
      await ended
    },
  }
}

export const winstonElasticsearch: OpenLogger = (url, flushMs) => {
  const transport = new ElasticsearchTransport({
    level: 'info',
    clientOpts: { node: url },
    ...(flushMs !== undefined && { flushInterval: flushMs }),
  })
  transport.on('error', () => {})
  transport.on('warning', () => {})
  const logger = createLogger({ transports: [transport] })
  logger.on('error', () => {})
  return {
    log: (n) => void logger.info('user.role.update', documentOf(n)),
    flush: () => transport.flush(),
    end: () =>
      new Promise<void>((resolve) => {
        logger.on('finish', resolve)
        logger.end()
      }),
  }
}

export const openTelemetry: OpenLogger = (url, flushMs) => {
  const exporter = new OTLPLogExporter({ url: `${url}/v1/logs` })
  const processor = new BatchLogRecordProcessor({
    exporter,
    ...(flushMs !== undefined && { scheduledDelayMillis: flushMs }),
  })
  const provider = new LoggerProvider({ processors: [processor] })
  const logger = provider.getLogger('audit')
  return {
    log: (n) => logger.emit({ severityNumber: 9, severityText: 'INFO', body: JSON.stringify(documentOf(n)) }),
    flush: () => provider.forceFlush(),
    end: () => provider.shutdown(),
  }
}

/** What comes in a tenth of a second: its interval begins again with each document. */
const HELPER_BYTES = 20_000

/** The helper over a stream that goes on, for entries that come one by one. */
export const bulkHelper: OpenLogger = (url, flushMs) => {
  const client = new Client({ node: url })
  const datasource = new PassThrough({ objectMode: true, highWaterMark: 100_000 })
  datasource.on('error', () => {})
  const done = client.helpers.bulk({
    datasource,
    onDocument: () => ({ create: { _index: INDEX } }),
    ...(flushMs !== undefined && { flushInterval: flushMs, flushBytes: HELPER_BYTES }),
  })
  const ended = done.catch(() => {})
  return {
    log: (n) => void datasource.write(documentOf(n)),
    async end() {
      datasource.end()
      await ended
      await client.close()
    },
  }
}

/** The helper fed at full speed: it asks for documents whenever it has room. */
export function fullSpeedHelper(
  url: string,
): Pick<Logger, 'end'> & { ship(from: number, to: number): Promise<unknown> } {
  const client = new Client({ node: url })
  async function* documents(from: number, to: number): AsyncGenerator<object> {
    for (let n = from; n < to; n++) yield documentOf(n)
  }
  return {
    ship: async (from, to) =>
      client.helpers.bulk({ datasource: documents(from, to), onDocument: () => ({ create: { _index: INDEX } }) }),
    end: () => client.close(),
  }
}
