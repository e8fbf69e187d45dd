/** Refusals that a later, equal call may not meet: 401, 403, 408, 409, 425, 429. */
const PASSING = new Set([401, 403, 408, 409, 425, 429])

/**
 * How a transactional write ends by the status of its answer.
 * - `commit` (2xx, 3xx): rows, effects and answer.
 * - `remember` (4xx): effects and answer; business rows go back to the savepoint.
 * - `rollback` (5xx and the refusals that may pass): nothing stays, and a retry is a clean first run.
 */
export function endOf(status: number): 'commit' | 'remember' | 'rollback' {
  if (status < 400) return 'commit'
  return status >= 500 || PASSING.has(status) ? 'rollback' : 'remember'
}
