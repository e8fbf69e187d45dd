import { opt } from '@keelson/kernel'
import { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { jsonOf } from '../sinks/json-of.ts'
import { post, refused } from '../sinks/post.ts'
import { checkSinkOptions, HTTP, type HttpSinkOptions } from '../sinks/sink-options.ts'
import type { Batch, BatchEntry, Outcome, Sink } from '../sink.ts'

/** What `otlpSink` takes; `url` is the root of the receiver: 'http://collector:4318'. */
export interface OtlpSinkOptions extends HttpSinkOptions {
  readonly headers?: Readonly<Record<string, string>>
}

const SPEC = {
  ...HTTP,
  headers: opt.custom<Readonly<Record<string, string>>>(
    'an object of texts',
    (given) => typeof given === 'object' && given !== null && Object.values(given).every((v) => typeof v === 'string'),
    {},
  ),
}

/** https://opentelemetry.io/docs/specs/otel/logs/data-model/#severity-fields */
const INFO = 9

/**
 * OpenTelemetry logs over HTTP with JSON. The body of a record is the entry as it was hashed, its attribute `event.id`
 * the id. A partial success does not say which records it means: the whole batch is a dead letter with the count.
 */
export function otlpSink(options: OtlpSinkOptions): Sink {
  const { base, own } = checkSinkOptions('otlpSink', 'otlp', options, SPEC)
  const url = new URL('v1/logs', `${String(own.url).replace(/\/+$/, '')}/`)
  const headers = { ...own.headers, 'content-type': 'application/json' }

  return {
    ...base,
    ordered: false,
    async deliver(batch, signal): Promise<readonly Outcome[]> {
      const { entries } = batch
      const answer = await post({ url, headers, body: bodyOf(batch), signal, fetch: own.fetch })
      if (answer.kind === 'halt') return entries.map(() => ({ halt: answer.reason }))
      if (answer.status === 400) throw refused(`the receiver answered 400: ${answer.text}`)
      const said = (answer.text === '' ? {} : jsonOf(answer.text)) as
        | { partialSuccess?: { rejectedLogRecords?: string | number; errorMessage?: string } }
        | undefined
      if (typeof said !== 'object' || said === null) throw new DeliveryFailure('the receiver answered no JSON')
      const { rejectedLogRecords = 0, errorMessage = '' } = said.partialSuccess ?? {}
      if (Number(rejectedLogRecords) === 0) return entries.map(() => 'ok')
      const reject = `${rejectedLogRecords} of ${entries.length} records rejected: ${errorMessage}`.slice(0, 500)
      return entries.map(() => ({ reject }))
    },
  }
}

function bodyOf({ log, entries }: Batch): string {
  const logRecords = entries.map((entry) => recordOf(log, entry))
  const scopeLogs = [{ scope: { name: '@keelson/audit' }, logRecords }]
  return JSON.stringify({ resourceLogs: [{ resource: { attributes: [] }, scopeLogs }] })
}

function recordOf(log: string, { atMs, bytes, id, index, leaf, scope, action }: BatchEntry): object {
  const text = (key: string, stringValue: string): object => ({ key, value: { stringValue } })
  const attributes = [
    text('event.id', id),
    text('event.action', action),
    text('organization.id', scope),
    text('seal.log', log),
    { key: 'seal.index', value: { intValue: String(index) } },
    text('seal.leaf', Buffer.from(leaf).toString('base64')),
  ]
  return {
    timeUnixNano: `${atMs}000000`,
    severityNumber: INFO,
    severityText: 'INFO',
    body: { stringValue: Buffer.from(bytes).toString() },
    attributes,
  }
}
