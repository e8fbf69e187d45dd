/**
 * How functions on queues are planned: by their indexes from the first row on. Statistics of a queue are those of another
 * moment, and a plan that was made for an empty table would read a full one. Joins go in the order in which they stand.
 */
export const PLANNED = `language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
set join_collapse_limit = 1`
