import { GIVE_BACK, TAKE } from './lock-timeout.ts'

/** The instant as a number that grows: a fence outlives the record of an older one. */
const NOW_US = '(extract(epoch from clock_timestamp()) * 1000000)::bigint'

/** Wins a free ref, and says so by a row. A claim in a transaction is 'unknown' until the answer is settled in the same
 *  transaction: nobody sees it, unless the work commits behind our back, and then the key must never run again. Blocks
 *  while another open transaction holds it, at most $1 ms; a committed one wins at once. The limit is taken in the same
 *  statement, before it waits: each statement of its own costs as much as the claim.
 *  $1 lock limit in ms, $2 ref, $3 state, $4 nonce, $5 fp_alg, $6 fp, $7 lease ms or null, $8 retain ms, $9 operation_id,
 *  $10 trace, $11 scope, $12 op, $13 subject_ref. */
export const claimSql = (schema: string): string => `with lock_limit as materialized (select ${TAKE})
insert into ${schema}.idempotency
  (ref, state, fence, attempt, nonce, fp_alg, fp, lease_until, claimed_at, expires_at, operation_id, trace, scope, op,
   subject_ref)
select $2::bytea, $3::text, ${NOW_US}, 1, $4::bytea, $5::text, $6::bytea,
  clock_timestamp() + $7::float8 * interval '1 ms', clock_timestamp(),
  clock_timestamp() + $8::float8 * interval '1 ms', $9::uuid, $10::jsonb, $11::text, $12::text, $13::bytea
from lock_limit on conflict (ref) do nothing returning 1`

/** The record as it is after the claim: ours when it carries our operation_id; one row of nulls without one. By the
 *  server's clock alone. Gives the session's own lock_timeout back. $1 ref. */
export const readSql = (
  schema: string,
): string => `select state, fp_alg, fp, operation_id::text as operation_id, fence::text as fence, attempt, answer,
  checkpoint, trace::text as trace, expires_at <= clock_timestamp() as expired,
  greatest(0, extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as lease_left_ms
from (select ${GIVE_BACK}) as given left join ${schema}.idempotency on ref = $1`

/** Takes a record over that has expired or lost its lease, with what its last owner saved; no row means that another
 *  was faster. Parameters of claimSql, then $14 attempt. */
export const takeOverSql = (schema: string): string => `with lock_limit as materialized (select ${TAKE})
update ${schema}.idempotency set
  state = $3, fence = fence + 1, attempt = $14, nonce = $4, fp_alg = $5, fp = $6,
  lease_until = clock_timestamp() + $7::float8 * interval '1 ms', claimed_at = clock_timestamp(),
  expires_at = clock_timestamp() + $8::float8 * interval '1 ms', operation_id = $9, answer = null,
  checkpoint = case when $14 > 1 then checkpoint end, trace = $10::jsonb, scope = $11, op = $12, subject_ref = $13
from lock_limit
where ref = $2 and (expires_at <= clock_timestamp()
  or (state = 'inflight' and coalesce(lease_until, clock_timestamp()) <= clock_timestamp()))
returning 1`
