import type { Statement } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'
import type { Matched, NewEvent } from '../store.ts'
import { toText } from './text.ts'

/** What `publish` answers of each event, by its first letter. */
const PUBLISHED = { f: 'fresh', d: 'duplicate', c: 'conflict' } as const

/** One statement that writes events. */
export function publishStatement(
  schema: string,
  events: readonly NewEvent[],
  o: { readonly routed: boolean; readonly noted: boolean },
): Statement {
  const rows = events.map((event, n) => ({
    n,
    scope: event.scope,
    id: event.id,
    type: event.type,
    bytes: event.body.byteLength,
    digest: event.digest,
    key: toText(event.key),
    channel: toText(event.channel),
    subject: toText(event.subject),
    not_before_ms: event.notBeforeMs === undefined ? undefined : Math.ceil(event.notBeforeMs),
    endpoint: event.endpoint,
    correlation: toText(event.correlationId),
    traceparent: toText(event.traceparent),
    revision: o.routed ? event.matched?.revision : undefined,
  }))
  const bodies = events.length === 1 ? events[0]!.body : Buffer.concat(events.map(({ body }) => body))
  const matched = events.map(({ scope, id, matched }) => ({ scope, event: id, matched }))
  return prepared(`select ${schema}.webhook_publish($1::text::json, $2::bytea, $3::text::json, $4::boolean) as kinds`, [
    JSON.stringify(rows),
    bodies,
    o.routed ? deliveriesOf(matched) : '[]',
    o.noted,
  ])
}

export function readPublished(kinds: string): ('fresh' | 'duplicate' | 'conflict')[] {
  return Array.from(kinds, (kind) => PUBLISHED[kind as keyof typeof PUBLISHED])
}

/** Deliveries of several events or routes as webhook_deliver takes them; `of` is the place of theirs in the list. */
export function deliveriesOf(
  of: readonly { readonly scope: string; readonly event: string; readonly matched: Matched | undefined }[],
): string {
  let n = 0
  return JSON.stringify(
    of.flatMap(({ scope, event, matched }, i) =>
      (matched?.deliveries ?? []).map(({ id, endpoint }) => ({
        of: i,
        n: n++,
        s: scope,
        v: event,
        d: id,
        e: endpoint,
      })),
    ),
  )
}
