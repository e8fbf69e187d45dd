/** Wins a free ref. The state is 'unknown' until the answer is settled in the same transaction: nobody sees it, unless
 *  the work commits behind our back, and then the key must never run again. Blocks while another open transaction holds it, at most lock_timeout; a committed one wins at once.
 *  $1 ref, $2 fp_alg, $3 fp, $4 retain ms, $5 operation_id, $6 trace, $7 scope, $8 op, $9 subject_ref. */
export const claimSql = (schema: string): string => `insert into ${schema}.idempotency
  (ref, state, fp_alg, fp, expires_at, operation_id, trace, scope, op, subject_ref)
values ($1, 'unknown', $2, $3, clock_timestamp() + $4::float8 * interval '1 ms', $5, $6::jsonb, $7, $8, $9)
on conflict (ref) do nothing`

/** The record as it is after the claim: ours when it carries our operation_id. By the server's clock alone. $1 ref. */
export const readSql = (
  schema: string,
): string => `select state, fp_alg, fp, operation_id::text as operation_id, attempt,
  answer, trace->>'traceparent' as traceparent, expires_at <= clock_timestamp() as expired,
  greatest(0, extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as lease_left_ms
from ${schema}.idempotency where ref = $1`

/** Takes a record over that has expired or lost its lease; no row means that another was faster.
 *  Parameters of claimSql, then $10 attempt. */
export const takeOverSql = (schema: string): string => `update ${schema}.idempotency set
  state = 'unknown', fence = fence + 1, attempt = $10, nonce = null, fp_alg = $2, fp = $3, lease_until = null,
  expires_at = clock_timestamp() + $4::float8 * interval '1 ms', operation_id = $5, answer = null, checkpoint = null,
  trace = $6::jsonb, scope = $7, op = $8, subject_ref = $9
where ref = $1 and (expires_at <= clock_timestamp()
  or (state = 'inflight' and coalesce(lease_until, clock_timestamp()) <= clock_timestamp()))
returning ref`
