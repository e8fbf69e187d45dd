import type { Effect } from '@keelson/kernel'
import type { Migration } from '@keelson/kernel/postgres'

export const outboxTables: Migration = {
  package: 'parcels',
  id: '0002_outbox',
  statements: [
    `create table {schema}.outbox (
  id bigint generated always as identity primary key,
  kind text not null,
  payload jsonb not null,
  operation_id uuid not null,
  correlation_id text
)`,
  ],
}

/**
 * An effect of the application's own: a row that must exist exactly when the shipment does. Anything with `kind` and
 * `statements` commits with the write.
 */
export function outboxEvent(kind: string, payload: object): Effect {
  return {
    kind: 'parcels.outbox',
    statements: (ctx) => [
      {
        text: 'insert into parcels.outbox (kind, payload, operation_id, correlation_id) values ($1, $2::jsonb, $3, $4)',
        values: [kind, JSON.stringify(payload), ctx.operationId, ctx.correlationId ?? null],
      },
    ],
  }
}
