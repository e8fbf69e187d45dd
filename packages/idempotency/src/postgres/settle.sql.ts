/** Invariant: travels with COMMIT, behind rows and effects, so the answer exists exactly when they do. Without our
 *  record it fails by a cast that says so, and the COMMIT behind it is not executed.
 *  $1 ref, $2 operation_id, $3 state, $4 answer, $5 retain ms from now. */
export const settleSql = (schema: string): string => `with settled as (
  update ${schema}.idempotency set
    state = $3, answer = $4, expires_at = clock_timestamp() + $5::float8 * interval '1 ms'
  where ref = $1 and operation_id = $2
  returning 1
)
select case when count(*) = 1 then 1 else ('keelson: records of this claim: ' || count(*))::int end from settled`
