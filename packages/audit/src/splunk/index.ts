import { opt } from '@keelson/kernel'
import { withSeal } from '../entry/seal-member.ts'
import { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { jsonOf } from '../sinks/json-of.ts'
import { post, refused } from '../sinks/post.ts'
import { checkSinkOptions, HTTP, type HttpSinkOptions } from '../sinks/sink-options.ts'
import type { Batch, Outcome, Sink } from '../sink.ts'

/** What `splunkSink` takes; `url` is the root of the HTTP Event Collector: 'https://splunk:8088'. */
export interface SplunkSinkOptions extends HttpSinkOptions {
  readonly token: string
  /** Default: the token's own. */
  readonly index?: string
}

const SPEC = {
  ...HTTP,
  token: opt.required(opt.custom<string>('a token of the HTTP Event Collector', isText)),
  index: opt.custom<string>('the name of an index', isText),
}

/** Answers of the collector by their code: https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector */
const HALTS = new Set([1, 2, 3, 4, 7])
const INVALID_EVENT = 6

/** Splunk by its HTTP Event Collector. A request is taken as a whole: after a lost answer its entries are there twice, with the same id. */
export function splunkSink(options: SplunkSinkOptions): Sink {
  const { base, own } = checkSinkOptions('splunkSink', 'splunk', options, SPEC)
  const { token, index, fetch } = own
  const url = new URL('services/collector/event', `${String(own.url).replace(/\/+$/, '')}/`)
  const headers = { authorization: `Splunk ${token}`, 'content-type': 'application/json' }
  const where = index === undefined ? '' : `"index":${JSON.stringify(index)},`

  function bodyOf({ log, entries }: Batch): Uint8Array {
    const parts = entries.flatMap((entry) => [
      Buffer.from(
        `{"time":${(entry.atMs / 1_000).toFixed(3)},"source":"keelson","sourcetype":"_json",${where}"event":`,
      ),
      withSeal(entry.bytes, { log, index: entry.index, leaf: entry.leaf }),
      Buffer.from('}'),
    ])
    return Buffer.concat(parts)
  }

  return {
    ...base,
    ordered: false,
    async deliver(batch, signal): Promise<readonly Outcome[]> {
      const { entries } = batch
      const answer = await post({ url, headers, body: bodyOf(batch), signal, fetch })
      if (answer.kind === 'halt') return entries.map(() => ({ halt: answer.reason }))
      const said = jsonOf(answer.text) as { code?: number; text?: string; 'invalid-event-number'?: number } | undefined
      if (said?.code === 0 && answer.status !== 400) return entries.map(() => 'ok')
      const why = `the collector says ${said?.code ?? answer.status} ${said?.text ?? ''}`.trim()
      if (said?.code !== undefined && HALTS.has(said.code)) return entries.map(() => ({ halt: why }))
      const invalid = said?.['invalid-event-number']
      if (said?.code === INVALID_EVENT && invalid !== undefined && invalid < entries.length) {
        return entries.map((_, i) => (i === invalid ? { reject: why } : { retry: why, after: 0 }))
      }
      if (answer.status === 400) throw refused(why)
      throw new DeliveryFailure(why)
    },
  }
}

function isText(given: unknown): boolean {
  return typeof given === 'string' && given !== ''
}
