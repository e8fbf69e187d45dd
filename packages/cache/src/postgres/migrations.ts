import type { Migration } from '@keelson/kernel/postgres'

/**
 * What can be had again is unlogged: a server that crashed, or a standby that took over, has no entries, and with them
 * goes the state, so that its epoch is new. Only drops are logged, as the rows that they belong to.
 *
 * They have two uses, so two tables: a row of cache_drop is the validity record of entries in this database, and stays
 * until it is pruned; one of cache_owed is owed to a tier elsewhere, and goes once that has applied it. In one table
 * each insert would open the indexes of both, which costs more than a row.
 *
 * Appends only, no row that two writers meet in, and no partitions: they would multiply the probes of every read, and
 * somebody would have to make tomorrow's. Old rows go in batches (prune.sql.ts).
 */
export const migrations: readonly Migration[] = [
  {
    package: 'cache',
    id: '0001_create',
    statements: [
      `create unlogged table {schema}.cache_state (
  name text collate "C" primary key,
  id uuid not null default gen_random_uuid(),
  floor xid8 not null default '0'
)`,
      `create unlogged table {schema}.cache_entry (
  name text collate "C" not null,
  scope text collate "C" not null,
  key text collate "C" not null,
  epoch text not null,
  at xid8 not null,
  open xid8[] not null,
  own xid8[] not null,
  fill text not null,
  codec text not null,
  tags text[] not null,
  body bytea not null,
  load_ms float8 not null,
  stored_at timestamptz not null,
  stale_at timestamptz not null,
  gone_at timestamptz not null,
  primary key (name, scope, key)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_cost_delay = 0)`,
      'alter table {schema}.cache_entry alter column body set storage external',
      'create index cache_entry_gone_at on {schema}.cache_entry (name, gone_at)',
      `create unlogged table {schema}.cache_lock (
  name text collate "C" not null,
  scope text collate "C" not null,
  key text collate "C" not null,
  node text not null,
  lease text not null,
  declared text[] not null,
  held_until timestamptz not null,
  primary key (name, scope, key)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)`,
      `create table {schema}.cache_drop (
  name text collate "C" not null,
  scope text collate "C" not null,
  tag text collate "C" not null,
  xid xid8 not null default pg_current_xact_id(),
  soft boolean not null default false,
  at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)`,
      'create index cache_drop_tag on {schema}.cache_drop (name, scope, tag, xid)',
      "create index cache_drop_xid on {schema}.cache_drop (name, coalesce(xid, '0'::xid8))",
      `create table {schema}.cache_owed (
  id uuid primary key,
  name text collate "C" not null,
  scope text collate "C" not null,
  tag text collate "C" not null,
  operation text not null,
  correlation text not null,
  at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)`,
      'create index cache_owed_at on {schema}.cache_owed (name, at)',
      'create index cache_owed_operation on {schema}.cache_owed (operation)',
    ],
  },
]
