/** Invariant: travels with COMMIT, behind rows and effects, so the answer exists exactly when they do.
 *  $1 ref, $2 operation_id, $3 state, $4 answer, $5 retain ms from now. */
export const settleSql = (schema: string): string => `update ${schema}.idempotency set
  state = $3, answer = $4, expires_at = clock_timestamp() + $5::float8 * interval '1 ms'
where ref = $1 and operation_id = $2`
