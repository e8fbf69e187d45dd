import type { TABLES } from './take.sql.ts'

/** Removes at most $1 expired counters, those that nobody works on. */
export const sweepSql = (schema: string, table: (typeof TABLES)[number]): string => `with gone as (
  delete from ${schema}.${table} where (subject, quota) in (
    select subject, quota from ${schema}.${table} where expires_at <= to_timestamp(${schema}.rate_now() / 1e6)
    order by expires_at limit $1 for update skip locked)
  returning 1)
select count(*)::int as count from gone`

/** Forgets quotas $2 (a json list of keys) of a subject $1; rows are locked in the order of all takes. */
export const resetSql = (schema: string): string => `with keys as (
  select value as key from jsonb_array_elements_text($2::text::jsonb)
), windows as (
  delete from ${schema}.rate_window where (subject, quota) in (select subject, quota from ${schema}.rate_window
    where subject = $1 and quota in (select key from keys) order by quota for update) returning 1
), calendars as (
  delete from ${schema}.rate_calendar where (subject, quota) in (select subject, quota from ${schema}.rate_calendar
    where subject = $1 and quota in (select key from keys) order by quota for update) returning 1
)
select (select count(*) from windows) + (select count(*) from calendars) as count`
