import type { Migration } from '@keelson/kernel/postgres'
import { claimSql } from './claim.sql.ts'
import { cancelSql, endSql, removeSql } from './end.sql.ts'
import { deliverSql } from './deliver.sql.ts'
import { eraseSql } from './erase.sql.ts'
import { partitionsSql, retireSql } from './partitions.sql.ts'
import { pauseSql } from './pause.sql.ts'
import { promoteSql } from './promote.sql.ts'
import { publishSql } from './publish.sql.ts'
import { reapSql } from './reap.sql.ts'
import { refreshSql } from './refresh.sql.ts'
import { redriveSql, reopenSql } from './reopen.sql.ts'
import { routeSql, takeSql } from './route.sql.ts'
import { lateSql, loadSql, writeSql } from './settle.sql.ts'
import { succeedSql } from './succeed.sql.ts'
import { sweepSql } from './sweep.sql.ts'

/** Queues: most of their rows are dead soon, and a claim must not wade through them. */
const BUSY = 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0'

/**
 * All instants are whole ms since 1970 of the server's clock. The row of a lane is the mutex of its endpoint: whoever
 * changes a delivery's state, a place in its queue or its health holds it. Locks are taken in the order scope or router,
 * event, lanes by number, deliveries, attempts; a claim alone skips what is locked.
 *
 * `next_due` of a lane is when it may be claimed, null when nothing waits for time alone: lanes that are held, full or
 * empty are not in its index. Texts of others are escaped (text.ts).
 */
export const migrations: readonly Migration[] = [
  {
    package: 'webhooks',
    id: '0001_create',
    statements: [
      // Of its own, so that a test can have another.
      `create function {schema}.webhook_now() returns bigint language sql volatile
as $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$`,
      `create table {schema}.webhook_state (
  one boolean primary key default true check (one),
  handlers_revision bigint not null default 0,
  paused boolean not null default false,
  conflicts bigint not null default 0
)`,
      'insert into {schema}.webhook_state default values',
      `create table {schema}.webhook_event (
  scope text collate "C" not null,
  id text collate "C" not null,
  seq bigint generated always as identity,
  type text collate "C" not null,
  body bytea not null,
  digest text collate "C" not null,
  key text collate "C",
  channel text,
  subject text collate "C",
  not_before_ms bigint,
  endpoint text collate "C",
  correlation text collate "C",
  traceparent text,
  created_ms bigint not null,
  routed boolean not null,
  erased boolean not null default false,
  primary key (scope, id)
) with (${BUSY})`,
      'create index webhook_event_unrouted on {schema}.webhook_event (seq) where not routed',
      'create index webhook_event_created on {schema}.webhook_event (created_ms)',
      'create index webhook_event_subject on {schema}.webhook_event (scope, subject, seq) where subject is not null',
      'create index webhook_event_correlation on {schema}.webhook_event (correlation) where correlation is not null',
      // Rows of a business transaction of which nobody was told: they are counted by the next sweep.
      `create table {schema}.webhook_conflict (
  scope text collate "C" not null,
  id text collate "C" not null,
  at_ms bigint not null
)`,
      `create table {schema}.webhook_audience (
  scope text collate "C" primary key,
  revision bigint not null default 0,
  paused boolean not null default false
)`,
      `create table {schema}.webhook_router (
  scope text collate "C" primary key,
  token text not null,
  ends_ms bigint not null
) with (${BUSY}, fillfactor = 50)`,
      `create table {schema}.webhook_handler (
  name text collate "C" primary key,
  types text not null,
  only_scope text collate "C",
  rules text not null,
  health text not null,
  concurrency integer not null,
  lease_ms bigint not null,
  rate_step_ms float8,
  rate_burst_ms float8
)`,
      `create table {schema}.webhook_lane (
  lane bigint generated always as identity primary key,
  class text collate "C" not null,
  next_due float8,
  first_ms bigint,
  first_seq bigint,
  mixed boolean not null default false,
  in_flight integer not null default 0,
  redriven integer not null default 0,
  concurrency integer not null,
  width integer not null default 1,
  capacity integer not null default 1,
  again_capacity integer not null default 1,
  until_ms float8,
  rate_used_ms float8 not null default 0,
  rate_step_ms float8,
  rate_burst_ms float8,
  claimed_ms bigint not null default 0,
  lease_ms bigint not null,
  suspect boolean not null default false,
  state text not null,
  disabled_reason text,
  revision integer not null default 1,
  scope_paused boolean not null,
  held_since_ms bigint,
  oldest_ms bigint,
  removed_ms bigint,
  held boolean generated always as (state <> 'active' or scope_paused or removed_ms is not null) stored,
  rules text not null,
  health text not null
) with (${BUSY}, fillfactor = 70)`,
      'create index webhook_lane_due on {schema}.webhook_lane (class, next_due) where next_due is not null',
      'create index webhook_lane_held on {schema}.webhook_lane (oldest_ms) where oldest_ms is not null',
      'create index webhook_lane_removed on {schema}.webhook_lane (lane) where removed_ms is not null',
      `create table {schema}.webhook_endpoint (
  scope text collate "C" not null,
  id text collate "C" not null,
  lane bigint not null unique,
  config text not null,
  secrets text not null,
  created_ms bigint not null,
  updated_ms bigint not null,
  primary key (scope, id)
)`,
      `create table {schema}.webhook_delivery (
  scope text collate "C" not null,
  id text collate "C" not null,
  lane bigint not null,
  endpoint text collate "C" not null,
  event text collate "C" not null,
  seq bigint not null,
  type text collate "C" not null,
  failed text collate "C",
  reason text,
  key text collate "C",
  line bigint,
  waits boolean not null,
  redriven boolean not null default false,
  due_ms bigint not null,
  attempts integer not null default 0,
  spent integer not null default 0,
  crashes integer not null default 0,
  fence bigint not null default 0,
  created_ms bigint not null,
  finished_ms bigint,
  kept_ms bigint not null,
  primary key (scope, id)
) with (${BUSY}, fillfactor = 50)`,
      `create table {schema}.webhook_lease (
  scope text collate "C" not null,
  id text collate "C" not null,
  lane bigint not null,
  fence bigint not null,
  redriven boolean not null,
  end_ms bigint not null,
  primary key (scope, id)
) with (${BUSY})`,
      'create index webhook_lease_end on {schema}.webhook_lease (end_ms)',
      'create sequence {schema}.webhook_line',
      `create index webhook_delivery_plain on {schema}.webhook_delivery (lane, due_ms, seq)
where line is null and not redriven`,
      `create index webhook_delivery_mixed on {schema}.webhook_delivery (lane, redriven, waits, due_ms, seq)
where line is not null or redriven`,
      'create index webhook_delivery_line on {schema}.webhook_delivery (lane, key, line) where line is not null',
      // None but the primary key begins with the scope: without statistics another one looks as good, and reads it all.
      'create index webhook_delivery_endpoint on {schema}.webhook_delivery (endpoint, scope, id)',
      'create index webhook_delivery_event on {schema}.webhook_delivery (event, scope)',
      'create index webhook_delivery_failed on {schema}.webhook_delivery (scope, failed, id) where failed is not null',
      'create index webhook_delivery_kept on {schema}.webhook_delivery (kept_ms)',
      `create table {schema}.webhook_attempt (
  scope text collate "C" not null,
  delivery text collate "C" not null,
  fence bigint not null,
  number integer not null,
  at_ms bigint not null,
  duration_ms float8 not null,
  outcome text not null,
  status integer,
  remote_address text,
  response text,
  error text
) partition by range (at_ms)`,
      'create index webhook_attempt_delivery on {schema}.webhook_attempt (scope, delivery, fence)',
      'create table {schema}.webhook_attempt_default partition of {schema}.webhook_attempt default',
      `create table {schema}.webhook_redrive (
  id text collate "C" primary key,
  scope text collate "C" not null,
  endpoint text collate "C",
  from_ms bigint,
  to_ms bigint,
  status text collate "C" not null,
  per_second float8 not null,
  started_ms bigint not null,
  moved bigint not null default 0,
  after text collate "C" not null default '',
  state text not null default 'running'
)`,
      `create table {schema}.webhook_key (
  key_id text collate "C" primary key,
  scope text collate "C" not null,
  principal text not null,
  sealed bytea not null,
  created_ms bigint not null,
  expires_ms bigint,
  n bigint generated always as identity
)`,
      'create index webhook_key_scope on {schema}.webhook_key (scope, n)',
      promoteSql,
      refreshSql,
      deliverSql,
      publishSql,
      takeSql,
      routeSql,
      claimSql,
      lateSql,
      loadSql,
      writeSql,
      succeedSql,
      endSql,
      cancelSql,
      removeSql,
      eraseSql,
      pauseSql,
      reapSql,
      reopenSql,
      redriveSql,
      sweepSql,
      partitionsSql,
      retireSql,
      'select {schema}.webhook_partitions()',
    ],
  },
]
