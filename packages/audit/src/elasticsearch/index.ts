import { opt } from '@keelson/kernel'
import { sealMember } from '../entry/seal-member.ts'
import { post } from '../sinks/post.ts'
import { checkSinkOptions, HTTP, type HttpSinkOptions } from '../sinks/sink-options.ts'
import type { Batch, BatchEntry, Outcome, Sink } from '../sink.ts'
import { readBulk } from './read-bulk.ts'
import { putTemplate } from './template.ts'

/** What `elasticsearchSink` takes. */
export interface ElasticsearchSinkOptions extends HttpSinkOptions {
  /** A name, or one by an entry's time; default `keelson-audit-YYYY.MM` (UTC). */
  readonly index?: string | ((at: Date) => string)
  /** `authorization`, for example. */
  readonly headers?: Readonly<Record<string, string>>
  /** Puts an index template before the first batch, so that no entry breaks a mapping; default true. */
  readonly setup?: boolean
}

const SPEC = {
  ...HTTP,
  index: opt.custom<string | ((at: Date) => string)>(
    'the name of an index, or a function of an instant',
    (given) => typeof given === 'function' || (typeof given === 'string' && given !== ''),
  ),
  headers: opt.custom<Readonly<Record<string, string>>>(
    'an object of texts',
    (given) => typeof given === 'object' && given !== null && Object.values(given).every((v) => typeof v === 'string'),
    {},
  ),
  setup: opt.boolean(true),
}

const DAY_MS = 86_400_000

/**
 * Elasticsearch 8 and 9 and OpenSearch 2 and 3 by `_bulk`: `create` with the entry's id, in the index of its own time,
 * so an entry is there once whatever happens. Answers are read item by item.
 * @throws AuditError OPTION_INVALID
 */
export function elasticsearchSink(options: ElasticsearchSinkOptions): Sink {
  const { base, own } = checkSinkOptions('elasticsearchSink', 'elasticsearch', options, SPEC)
  const { index, headers, setup, fetch } = own
  const root = `${String(own.url).replace(/\/+$/, '')}/`
  const bulk = new URL('_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason', root)
  const send = { headers: { ...headers, 'content-type': 'application/x-ndjson' }, fetch }

  let day = -1
  let month = ''
  /** Entries of one day are in one index: to write a date takes longer than all the rest of an action. */
  function monthly(atMs: number): string {
    const itsDay = Math.floor(atMs / DAY_MS)
    if (itsDay !== day) {
      day = itsDay
      month = `keelson-audit-${new Date(atMs).toISOString().slice(0, 7).replace('-', '.')}`
    }
    return month
  }

  function indexOf({ atMs }: BatchEntry): string {
    if (typeof index === 'string') return index
    return index === undefined ? monthly(atMs) : index(new Date(atMs))
  }

  /** Written into one buffer: one for each part takes longer than to fill it. */
  function bodyOf({ log, entries }: Batch): Uint8Array {
    const lines = entries.map((entry) => ({
      action: `{"create":{"_index":${JSON.stringify(indexOf(entry))},"_id":"${entry.id}"}}\n`,
      bytes: entry.bytes,
      seal: `${sealMember({ log, index: entry.index, leaf: entry.leaf })}\n`,
    }))
    let size = 0
    for (const { action, bytes, seal } of lines) {
      size += Buffer.byteLength(action) + bytes.length - 1 + Buffer.byteLength(seal)
    }
    const body = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (const { action, bytes, seal } of lines) {
      at += body.write(action, at)
      // The seal stands in place of the last brace.
      body.set(bytes, at)
      at += bytes.length - 1
      at += body.write(seal, at)
    }
    return body
  }

  return {
    ...base,
    ordered: false,
    ...(setup && typeof index !== 'function'
      ? { setup: (signal) => putTemplate({ root, pattern: index ?? 'keelson-audit-*', headers, fetch, signal }) }
      : {}),
    async deliver(batch, signal): Promise<readonly Outcome[]> {
      const answer = await post({ url: bulk, body: bodyOf(batch), signal, ...send })
      if (answer.kind === 'halt') return batch.entries.map(() => ({ halt: answer.reason }))
      return readBulk(answer, batch.entries.length)
    },
  }
}
