/** The instant as a number that grows: a fence outlives the record of an older one. */
const NOW_US = '(extract(epoch from clock_timestamp()) * 1000000)::bigint'

/** Wins a free ref, and says so by a row. A claim in a transaction is 'unknown' until the answer is settled in the same
 *  transaction: nobody sees it, unless the work commits behind our back, and then the key must never run again. Blocks
 *  while another open transaction holds it, at most lock_timeout; a committed one wins at once.
 *  $1 ref, $2 state, $3 nonce, $4 fp_alg, $5 fp, $6 lease ms or null, $7 retain ms, $8 operation_id, $9 trace, $10 scope,
 *  $11 op, $12 subject_ref. */
export const claimSql = (schema: string): string => `insert into ${schema}.idempotency
  (ref, state, fence, attempt, nonce, fp_alg, fp, lease_until, claimed_at, expires_at, operation_id, trace, scope, op,
   subject_ref)
values ($1, $2, ${NOW_US}, 1, $3, $4, $5, clock_timestamp() + $6::float8 * interval '1 ms', clock_timestamp(),
  clock_timestamp() + $7::float8 * interval '1 ms', $8, $9::jsonb, $10, $11, $12)
on conflict (ref) do nothing returning 1`

/** The record as it is after the claim: ours when it carries our operation_id. By the server's clock alone. $1 ref. */
export const readSql = (
  schema: string,
): string => `select state, fp_alg, fp, operation_id::text as operation_id, fence::text as fence, attempt, answer,
  checkpoint, trace, expires_at <= clock_timestamp() as expired,
  greatest(0, extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as lease_left_ms
from ${schema}.idempotency where ref = $1`

/** Takes a record over that has expired or lost its lease, with what its last owner saved; no row means that another
 *  was faster. Parameters of claimSql, then $13 attempt. */
export const takeOverSql = (schema: string): string => `update ${schema}.idempotency set
  state = $2, fence = fence + 1, attempt = $13, nonce = $3, fp_alg = $4, fp = $5,
  lease_until = clock_timestamp() + $6::float8 * interval '1 ms', claimed_at = clock_timestamp(),
  expires_at = clock_timestamp() + $7::float8 * interval '1 ms', operation_id = $8, answer = null,
  checkpoint = case when $13 > 1 then checkpoint end, trace = $9::jsonb, scope = $10, op = $11, subject_ref = $12
where ref = $1 and (expires_at <= clock_timestamp()
  or (state = 'inflight' and coalesce(lease_until, clock_timestamp()) <= clock_timestamp()))
returning 1`
