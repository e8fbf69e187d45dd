/**
 * The rule, exact under MVCC. `at` and `open` are the snapshot that was taken before the load: transactions from `at`
 * on had not begun, those of `open` had not ended. A drop of one of them is an invalidation that the load may have
 * missed, whenever it commits and whatever its number is; every other one was committed before the load began.
 *
 * Two probes of the index a tag, whatever stands between oldest and newest transaction. Names: $1 the cache's.
 */
export interface Moved {
  readonly schema: string
  readonly scope: string
  /** text[] */
  readonly tags: string
  /** xid8 */
  readonly at: string
  /** xid8[], in order */
  readonly open: string
  /** What else must hold of the drop `d`. */
  readonly and?: string
}

/** True when a tag was invalidated, softly or not, by what the snapshot does not see. */
export function movedSql(o: Moved): string {
  return `(exists (select 1 ${since(o)}) or (${o.open}[1] is not null and exists (select 1 ${amidst(o)})))`
}

/** When a tag was first invalidated so. */
export function firstMovedSql(o: Moved): string {
  return `(select min(first) from (select min(d.at) ${since(o)} union all select min(d.at) ${amidst(o)}) as moved(first))`
}

function since(o: Moved): string {
  return `${ofTags(o)} and d.xid >= ${o.at}`
}

function amidst(o: Moved): string {
  return `${ofTags(o)} and d.xid = any(${o.open})`
}

function ofTags({ schema, scope, tags, and = 'true' }: Moved): string {
  return `from ${schema}.cache_drop d where d.name = $1 and d.scope = ${scope}
  and d.tag = any(${tags}) and ${and}`
}

/** Drops that make invalid, not only stale. */
export const HARD = 'not d.soft'
/** A `put` does not invalidate what it stores, nor does one that it has replaced. */
export const NOT_OWN = 'd.xid <> all(c.own)'

/** The transactions that a snapshot found open, in order: xid8[]. */
export const openOf = (snapshot: string): string => `array(select pg_snapshot_xip(${snapshot}))`

/** A row of cache_state as an epoch. A dump that is restored elsewhere has other table ids, and so another epoch: the
 *  transactions of its entries would mean nothing there. */
export const epochOf = (state: string): string => `${state}.id || '.' || ${state}.tableoid`
