import type { Migration } from '@keelson/kernel/postgres'

/** The records. `fillfactor` leaves room for the answer: a settled row stays on its page. */
export const migrations: readonly Migration[] = [
  {
    package: 'idempotency',
    id: '0001_create',
    statements: [
      `create table {schema}.idempotency (
  ref bytea primary key,
  state text not null check (state in ('inflight', 'done', 'tombstone', 'unknown')),
  fence bigint not null,
  attempt integer not null,
  nonce bytea,
  fp_alg text,
  fp bytea,
  lease_until timestamptz,
  claimed_at timestamptz not null,
  expires_at timestamptz not null,
  operation_id uuid not null,
  answer bytea,
  checkpoint bytea,
  trace jsonb,
  scope text not null,
  op text not null,
  subject_ref bytea
) with (fillfactor = 70)`,
      'create index idempotency_expires_at on {schema}.idempotency (expires_at)',
      'create index idempotency_subject_ref on {schema}.idempotency (subject_ref) where subject_ref is not null',
    ],
  },
]

/** For `trace()` on a large table; each claim writes it too, so it is yours to choose: `migrate(db, [store, traceIndex])`. */
export const traceIndex: Migration = {
  package: 'idempotency',
  id: 'optional_trace',
  statements: [
    "create index idempotency_correlation on {schema}.idempotency ((trace->>'correlationId')) where trace is not null",
  ],
}
