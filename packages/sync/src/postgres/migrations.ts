import type { Migration } from '@keelson/kernel/postgres'
import { changeSql, moveSql, putSql, registersSql, strippedSql } from './change.sql.ts'
import { adoptSql, hereSql, rebaseSql } from './era.sql.ts'
import { forgetSql } from './forget.sql.ts'
import { gcSql } from './gc.sql.ts'
import { openSql } from './open.sql.ts'
import { changedFunctionSql, pageSql, pullSql } from './pull.sql.ts'
import { differingSql, documentSql, rowsSql } from './rows.sql.ts'
import { base36Sql, fromBase36Sql, nextStampSql } from './stamp.sql.ts'
import { writeSql } from './write.sql.ts'

/** What is written again and again leaves dead rows in the index that pulls read. */
const BUSY = 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02'

/**
 * All instants are whole ms since 1970 of the server's clock. `tx` is the transaction that wrote a version, `created_tx`
 * the one that made its record: a snapshot tells which of them it sees. Never the row's own xmin, which ends with a
 * VACUUM FREEZE and is another one for what a savepoint wrote. `reg` is { field: [value, stamp] }, or [stamp] of what is
 * absent. Texts of others are escaped (text.ts), operations and results are JSON as it came.
 *
 * Results are not partitioned by day: they are looked up by device and operation, of which no partition knows the day.
 */
export const migrations: readonly Migration[] = [
  {
    package: 'sync',
    id: '0001_create',
    statements: [
      // Of its own, so that a test can have another.
      `create function {schema}.sync_now() returns bigint language sql volatile
as $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$`,
      hereSql,
      // Below `horizon` tombstones are gone: gc.sql.ts.
      `create table {schema}.sync_meta (
  one boolean primary key default true check (one),
  era bigint not null,
  here text not null,
  horizon xid8,
  horizon_seen pg_snapshot,
  horizon_ms bigint
)`,
      'insert into {schema}.sync_meta (era, here) select 1, {schema}.sync_here()',
      `create table {schema}.sync_record (
  scope text collate "C" not null,
  c text collate "C" not null,
  id text collate "C" not null,
  reg jsonb not null,
  h text collate "C" not null,
  deleted_h text collate "C",
  gone text,
  subject text collate "C",
  clients text[] not null default '{}',
  created_tx xid8 not null default pg_current_xact_id(),
  tx xid8 not null default pg_current_xact_id(),
  at_ms bigint not null,
  primary key (scope, c, id)
) with (${BUSY})`,
      // All of them: but only who says so reads along it. Without statistics it looks as good for one record as the key
      // does, and reads a whole scope.
      "create index sync_record_version on {schema}.sync_record (scope, tx, c, id) where tx > '0'",
      'create index sync_record_gone on {schema}.sync_record (at_ms) where gone is not null',
      'create index sync_record_subject on {schema}.sync_record (scope, subject, c, id) where subject is not null',
      `create table {schema}.sync_op (
  client text collate "C" not null,
  op text collate "C" not null,
  fp text not null,
  result text not null,
  correlation text collate "C",
  at_ms bigint not null,
  primary key (client, op)
)`,
      'create index sync_op_at on {schema}.sync_op (at_ms)',
      'create index sync_op_correlation on {schema}.sync_op (correlation, at_ms) where correlation is not null',
      `create table {schema}.sync_conflict (
  id text collate "C" primary key,
  scope text collate "C" not null,
  c text collate "C" not null,
  record text collate "C" not null,
  code text not null,
  op text not null,
  current text,
  principal text not null,
  client text collate "C" not null,
  at_ms bigint not null,
  status text not null default 'open'
)`,
      'create index sync_conflict_scope on {schema}.sync_conflict (scope, status, id)',
      'create index sync_conflict_record on {schema}.sync_conflict (scope, c, record)',
      "create index sync_conflict_client on {schema}.sync_conflict (client) where status = 'open'",
      `create table {schema}.sync_client (
  client text collate "C" primary key,
  principal text not null,
  top text collate "C",
  top_here text collate "C",
  pushed bigint not null default 0,
  offset_ms float8 not null default 0,
  pushed_ms bigint,
  pulled_ms bigint
) with (fillfactor = 70)`,
      // Whom conflicts are about: several may be, and most of them have no record that says so.
      `create table {schema}.sync_about (
  scope text collate "C" not null,
  subject text collate "C" not null,
  conflict text collate "C" not null references {schema}.sync_conflict on delete cascade,
  primary key (scope, subject, conflict)
)`,
      'create index sync_about_conflict on {schema}.sync_about (conflict)',
      base36Sql,
      fromBase36Sql,
      nextStampSql,
      strippedSql,
      registersSql,
      adoptSql,
      rebaseSql,
      pageSql,
      pullSql,
      changedFunctionSql,
      openSql,
      writeSql,
      putSql,
      moveSql,
      changeSql,
      differingSql,
      documentSql,
      rowsSql,
      forgetSql,
      gcSql,
    ],
  },
]
