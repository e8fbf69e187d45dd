/**
 * How functions on large tables are planned: by their indexes from the first row on. A plan that was made while they were
 * small, or for statistics of another moment, would read them whole.
 */
export const PLANNED = `language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan`
