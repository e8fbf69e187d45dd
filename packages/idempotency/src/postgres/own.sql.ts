/** What only the owner may do: nonce and fence must both be the record's, and it must not have ended. */
const OWNED = "ref = $1 and nonce = $2 and fence = $3::bigint and state = 'inflight' and expires_at > clock_timestamp()"

/** Ends a run with an answer, a tombstone, or unknown; a row says that it did. $4 state, $5 answer, $6 retain ms. */
export const endSql = (schema: string): string => `update ${schema}.idempotency set
  state = $4, answer = $5, checkpoint = null, lease_until = null,
  expires_at = clock_timestamp() + $6::float8 * interval '1 ms'
where ${OWNED} returning 1`

/** Ends a run as if it had never been; a row says that it did. */
export const releaseSql = (schema: string): string => `delete from ${schema}.idempotency where ${OWNED} returning 1`

/** Ends a lease at once, so that the next claim takes over; a row says that it did. */
export const lapseSql = (schema: string): string => `update ${schema}.idempotency set lease_until = clock_timestamp()
where ${OWNED} returning 1`

/** How one's own run has ended before: the answer to a repeat. $1 ref, $2 nonce, $3 fence. */
export const ownEndSql = (schema: string): string => `select state from ${schema}.idempotency
where ref = $1 and nonce = $2 and fence = $3::bigint and expires_at > clock_timestamp()`

/** Renews a lease; a row says that it did. It changes no indexed column, unless the lease outlives the record.
 *  $4 lease ms, $5 checkpoint or null. */
export const touchSql = (schema: string): string => `update ${schema}.idempotency set
  lease_until = clock_timestamp() + $4::float8 * interval '1 ms', checkpoint = coalesce($5, checkpoint),
  expires_at = greatest(expires_at, clock_timestamp() + $4::float8 * interval '1 ms')
where ${OWNED} returning 1`
