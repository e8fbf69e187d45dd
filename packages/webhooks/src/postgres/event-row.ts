import type { StoredEvent } from '../store.ts'
import { fromText } from './text.ts'

/** The columns of an event that are read. */
export interface EventColumns {
  readonly scope: string
  readonly id: string
  readonly type: string
  readonly body: Uint8Array
  readonly key: string | null
  readonly channel: string | null
  readonly subject: string | null
  readonly endpoint: string | null
  readonly correlation: string | null
  readonly traceparent: string | null
  readonly created_ms: number
  readonly erased: boolean
}

/** As SQL: those columns of the event `alias`. */
export const eventColumns = (alias: string): string =>
  [
    ...'scope id type body key channel subject endpoint correlation traceparent'.split(' ').map((n) => `${alias}.${n}`),
    `${alias}.created_ms::float8 as created_ms`,
    `${alias}.erased`,
  ].join(', ')

export function readEvent(row: EventColumns): StoredEvent {
  const { scope, id, type, body, key, channel, subject, endpoint, correlation, traceparent } = row
  return {
    scope,
    id,
    type,
    // A Buffer of pg is a view of what came over the wire.
    body: new Uint8Array(body.buffer, body.byteOffset, body.byteLength),
    ...(key === null ? {} : { key: fromText(key) }),
    ...(channel === null ? {} : { channel: fromText(channel) }),
    ...(subject === null ? {} : { subject: fromText(subject) }),
    ...(endpoint === null ? {} : { endpoint }),
    ...(correlation === null ? {} : { correlationId: fromText(correlation) }),
    ...(traceparent === null ? {} : { traceparent: fromText(traceparent) }),
    createdAtMs: row.created_ms,
    erased: row.erased,
  }
}
