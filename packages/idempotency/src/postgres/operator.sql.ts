const VIEW = `state, attempt, operation_id::text as operation_id, op,
  greatest(0, extract(epoch from clock_timestamp() - claimed_at) * 1000)::float8 as age_ms,
  greatest(0, extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as lease_left_ms,
  (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as expires_in_ms,
  coalesce(octet_length(answer), 0) as bytes`

/** A record without its answer. $1 ref. */
export const peekSql = (schema: string): string => `select ${VIEW}
from ${schema}.idempotency where ref = $1 and expires_at > clock_timestamp()`

const LAPSED = "(state = 'inflight' and lease_until <= clock_timestamp())"

/** Removes any record but one whose lease is alive. $1 ref. */
export const forgetSql = (schema: string): string => `delete from ${schema}.idempotency
where ref = $1 and expires_at > clock_timestamp() and (state <> 'inflight' or ${LAPSED}) returning 1`

/** Removes a record of which nobody knows how it ended. $1 ref. */
export const retrySql = (schema: string): string => `delete from ${schema}.idempotency
where ref = $1 and expires_at > clock_timestamp() and (state = 'unknown' or ${LAPSED}) returning 1`

/** Gives such a record its answer; the fence keeps its old owner out. $1 ref, $2 answer. */
export const answerSql = (schema: string): string => `update ${schema}.idempotency set
  state = 'done', answer = $2, checkpoint = null, lease_until = null, fence = fence + 1
where ref = $1 and expires_at > clock_timestamp() and (state = 'unknown' or ${LAPSED}) returning 1`

/** Removes at most $1 expired records, those that nobody works on. */
export const sweepSql = (schema: string): string => `with gone as (
  delete from ${schema}.idempotency where ref in (
    select ref from ${schema}.idempotency where expires_at <= clock_timestamp()
    order by expires_at limit $1 for update skip locked)
  returning 1)
select count(*)::int as count from gone`

/** Records by state. */
export const countsSql = (schema: string): string => `select state, count(*)::int as count
from ${schema}.idempotency where expires_at > clock_timestamp() group by state`

/** At most $1 records of which nobody knows how they ended. Reads the table, as `counts` does: no write pays for an index. */
export const stuckSql = (schema: string): string => `select ref, scope, ${VIEW}
from ${schema}.idempotency where expires_at > clock_timestamp() and (state = 'unknown' or ${LAPSED})
order by claimed_at, ref limit $1`

/** What came from one correlation id. $1 correlation id, $2 limit. The first condition is that of `traceIndex`. */
export const traceSql = (
  schema: string,
): string => `select ref, state, attempt, operation_id::text as operation_id, scope, op,
  answer, (extract(epoch from claimed_at) * 1000)::float8 as at_ms
from ${schema}.idempotency where trace->>'correlationId' = $1 and expires_at > clock_timestamp()
order by claimed_at limit $2`
