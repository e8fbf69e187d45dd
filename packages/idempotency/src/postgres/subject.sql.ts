/** A page of what records have of a person. $1 subject_ref, $2 ref of the last page's end or null, $3 limit. */
export const heldSql = (schema: string): string => `select ref, op, state,
  (extract(epoch from claimed_at) * 1000)::float8 as at, coalesce(answer, checkpoint) as bytes
from ${schema}.idempotency
where subject_ref = $1 and ($2::bytea is null or ref > $2) and expires_at > clock_timestamp()
  and octet_length(coalesce(answer, checkpoint)) > 0
order by ref limit $3`

/** Takes it away with `op` and fingerprint, unless its owner still runs; what had bytes is a tombstone then. A page, and
 *  what was in it. Expired rows too, for they are there until they are swept. Parameters of heldSql. */
export const eraseSql = (schema: string): string => `with held as (
  select ref, op, state, claimed_at, coalesce(answer, checkpoint) as bytes from ${schema}.idempotency
  where subject_ref = $1 and ($2::bytea is null or ref > $2)
    and (state <> 'inflight' or expires_at <= clock_timestamp()
      or (lease_until <= clock_timestamp() and checkpoint is not null))
  order by ref limit $3 for update)
update ${schema}.idempotency as i set
  state = case when octet_length(held.bytes) > 0 then 'tombstone' else i.state end,
  answer = null, checkpoint = null, fp_alg = null, fp = null, op = '', lease_until = null
from held where i.ref = held.ref
returning held.ref, held.op, held.state, (extract(epoch from held.claimed_at) * 1000)::float8 as at, held.bytes`
