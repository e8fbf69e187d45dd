import type { Migration } from '@keelson/kernel/postgres'
import { adoptSql } from './adopt.sql.ts'
import { knownSql } from './append.sql.ts'
import { behindSql, firstIdSql, partitionSql, partitionsSql } from './partitions.sql.ts'
import { isOverSql, prunableSql, pruneOthersSql, pruneSql } from './prune.sql.ts'
import { sealSql } from './seal.sql.ts'
import { backlogSql, beginSealSql, unsealedSql } from './unsealed.sql.ts'

/** A trigger on a table that only grows. */
const refuse = (table: string, events: string): string => `create trigger audit_grows before ${events}
on {schema}.${table} for each statement execute function {schema}.audit_refuse()`

/**
 * All instants are whole ms since 1970. A business transaction writes audit_entry and audit_key alone. What is searched
 * for lives in audit_leaf, outside of it, with three indexes: by place, by id, and one for all else (terms.ts). The
 * extremes of every so many leaves are in audit_span, where a B-tree on instants would be another index of all rows.
 *
 * Triggers refuse what an application might do by mistake. Who owns the tables can do all: what it changes the tree tells.
 * Texts of others are escaped (text.ts).
 */
export const migrations: readonly Migration[] = [
  {
    package: 'audit',
    id: '0001_create',
    statements: [
      // Of its own, so that a test can have another.
      `create function {schema}.audit_now() returns bigint language sql volatile
as $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$`,
      `create function {schema}.audit_refuse() returns trigger language plpgsql as $$
begin
  raise exception '% of % is refused: an audit log only grows', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end $$`,
      // Of one transaction, numbers grow: that is all that is asked of them.
      'create sequence {schema}.audit_seq cache 50',
      `create table {schema}.audit_entry (
  id uuid primary key,
  log text collate "C" not null,
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null default nextval('{schema}.audit_seq'),
  body bytea not null
) partition by range (id)`,
      'create index audit_entry_place on {schema}.audit_entry (log, xid, seq)',
      refuse('audit_entry', 'update or delete or truncate'),
      `create table {schema}.audit_key (
  log text collate "C" not null,
  scope text collate "C" not null,
  ref text collate "C" not null,
  entry uuid not null,
  wrapped bytea not null,
  primary key (entry, scope, ref)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50)`,
      'create index audit_key_ref on {schema}.audit_key (log, scope, ref)',
      // `done`, `at_xid` and `at_seq`: snapshot.ts. Below `known` partitions were dropped.
      `create table {schema}.audit_head (
  log text collate "C" primary key,
  size bigint not null,
  frontier bytea not null,
  pruned bigint not null default 0,
  done pg_snapshot not null,
  at_xid xid8 not null,
  at_seq bigint not null,
  known uuid not null default '00000000-0000-0000-0000-000000000000'
) with (fillfactor = 50)`,
      refuse('audit_head', 'delete or truncate'),
      `create table {schema}.audit_leaf (
  log text collate "C" not null,
  idx bigint not null,
  id uuid not null,
  at_ms bigint not null,
  scope text collate "C" not null,
  actor_type text collate "C",
  actor_id text collate "C",
  action text collate "C" not null,
  target_type text collate "C",
  target_id text collate "C",
  outcome text collate "C" not null,
  correlation text collate "C",
  refs text[] collate "C",
  terms integer[] not null,
  primary key (log, idx)
) with (autovacuum_analyze_scale_factor = 0.02)`,
      'alter table {schema}.audit_leaf alter column terms set statistics 1000',
      'create index audit_leaf_id on {schema}.audit_leaf (id)',
      'create index audit_leaf_terms on {schema}.audit_leaf using gin (terms)',
      refuse('audit_leaf', 'update or delete or truncate'),
      `create table {schema}.audit_span (
  log text collate "C" not null,
  n bigint not null,
  min_at_ms bigint not null,
  max_at_ms bigint not null,
  min_id uuid not null,
  max_id uuid not null,
  primary key (log, n)
) with (fillfactor = 80)`,
      `create table {schema}.audit_tile (
  log text collate "C" not null,
  level integer not null,
  n bigint not null,
  hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
  primary key (log, level, n)
)`,
      // Hashes are not worth an attempt to compress them.
      'alter table {schema}.audit_tile alter column hashes set storage external',
      `create function {schema}.audit_grow_tile() returns trigger language plpgsql as $$
begin
  if (new.log, new.level, new.n) <> (old.log, old.level, old.n)
    or substring(new.hashes for octet_length(old.hashes)) <> old.hashes then
    raise exception 'a tile only grows' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$`,
      `create trigger audit_grows_itself before update on {schema}.audit_tile
for each row execute function {schema}.audit_grow_tile()`,
      refuse('audit_tile', 'delete or truncate'),
      `create table {schema}.audit_checkpoint (
  log text collate "C" not null,
  size bigint not null,
  note text not null,
  primary key (log, size)
)`,
      refuse('audit_checkpoint', 'delete or truncate'),
      `create table {schema}.audit_cursor (
  log text collate "C" not null,
  sink text collate "C" not null,
  at bigint not null default 0,
  state text,
  fence bigint not null default 1,
  owner text not null,
  ends_ms bigint not null,
  primary key (log, sink)
) with (fillfactor = 50)`,
      `create table {schema}.audit_dead (
  log text collate "C" not null,
  sink text collate "C" not null,
  idx bigint not null,
  id text collate "C" not null,
  reason text not null,
  at_ms bigint not null,
  again boolean not null default false,
  primary key (log, sink, idx)
)`,
      `create table {schema}.audit_hold (
  log text collate "C" not null,
  id text collate "C" not null,
  scope text collate "C" not null,
  reason text not null,
  at_ms bigint not null,
  primary key (log, id)
)`,
      firstIdSql,
      behindSql,
      knownSql,
      partitionSql,
      partitionsSql,
      beginSealSql,
      unsealedSql,
      backlogSql,
      sealSql,
      prunableSql,
      isOverSql,
      pruneOthersSql,
      pruneSql,
      adoptSql,
      "select {schema}.audit_partition('audit_entry_default', 'default')",
      'select {schema}.audit_partitions()',
    ],
  },
]
