import { type Ask, prepared } from '@keelson/kernel/postgres'
import type { EventRows, TraceRow } from '../store.ts'
import { eventColumns, readEvent, type EventColumns } from './event-row.ts'
import { toText } from './text.ts'

export function createEvents(schema: string, ask: Ask): EventRows {
  const sql = {
    one: `select ${eventColumns('e')} from ${schema}.webhook_event e where e.scope = $1 and e.id = $2`,
    bySubject: `select ${eventColumns('e')} from ${schema}.webhook_event e
where e.scope = $1 and e.subject = $2 and e.seq > coalesce((
  select o.seq from ${schema}.webhook_event o where o.scope = $1 and o.id = $3 and o.subject = $2), 0)
order by e.seq limit $4`,
    erase: `select events, cancelled from ${schema}.webhook_erase($1, $2, $3)`,
    trace: `select e.seq::float8 as seq, e.created_ms::float8 as at_ms, e.type || ' ' || e.id as event, a.at_ms::float8 as attempt_ms,
  d.endpoint, a.number, coalesce(a.status::text, a.outcome) as came_to
from ${schema}.webhook_event e
left join ${schema}.webhook_delivery d on d.scope = e.scope and d.event = e.id
left join ${schema}.webhook_attempt a on a.scope = d.scope and a.delivery = d.id
where e.correlation = $1 order by e.seq, d.id, a.fence`,
  }
  return {
    async get(scope, id) {
      const [row] = await ask<EventColumns>(prepared(sql.one, [scope, id]))
      return row === undefined ? null : readEvent(row)
    },

    async bySubject(scope, subject, { after, limit }) {
      const rows = await ask<EventColumns>(prepared(sql.bySubject, [scope, toText(subject), after ?? null, limit]))
      return rows.map(readEvent)
    },

    async erase(scope, subject, limit) {
      const [row] = await ask<{ events: number; cancelled: number }>(
        prepared(sql.erase, [scope, toText(subject), limit]),
      )
      return { events: row!.events, cancelled: row!.cancelled }
    },

    async trace(correlationId) {
      const rows = await ask<TraceColumns>(prepared(sql.trace, [toText(correlationId)]))
      return rows.flatMap((row, i): TraceRow[] => [
        ...(rows[i - 1]?.seq === row.seq ? [] : [{ atMs: row.at_ms, kind: 'event' as const, text: row.event }]),
        ...(row.attempt_ms === null
          ? []
          : [
              {
                atMs: row.attempt_ms,
                kind: 'attempt' as const,
                text: `${row.event} to ${row.endpoint}, attempt ${row.number}: ${row.came_to}`,
              },
            ]),
      ])
    },
  }
}

/** An event, or one of its attempts with it. */
interface TraceColumns {
  readonly seq: number
  readonly at_ms: number
  readonly event: string
  /** Null: there was none. */
  readonly attempt_ms: number | null
  readonly endpoint: string
  readonly number: number
  readonly came_to: string
}
