/**
 * The rule, exact under MVCC. `at` and `open` are the snapshot that was taken before the load: transactions from `at`
 * on had not begun, those of `open` had not ended. A drop of one of them is an invalidation that the load may have
 * missed, whenever it commits and whatever its number is; every other one was committed before the load began.
 *
 * Two probes of the index a tag; the second walks the tag's drops since the oldest transaction that is still open. They are written as probes,
 * each with its LIMIT: a plain join costs the planner's guess of all drops of a hot tag, and above 100,000 of its units
 * the server compiles the statement first, for 200 ms. $1 is the cache's name.
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
  return `least((select min(p.at) ${since(o)}), (select min(p.at) ${amidst(o)}))`
}

/** The first drop of each tag in an order that the index has. */
function since(o: Moved): string {
  return `from unnest(${o.tags}) as t(tag) ${probe(o, `d.xid >= ${o.at} order by d.xid`)}`
}

function amidst(o: Moved): string {
  return `from unnest(${o.tags}) as t(tag) ${probe(o, `d.xid >= ${o.open}[1] and d.xid = any(${o.open}) order by d.xid`)}`
}

function probe({ schema, scope, and = 'true' }: Moved, missed: string): string {
  return `cross join lateral (select d.at from ${schema}.cache_drop d
  where d.name = $1 and d.scope = ${scope} and d.tag = t.tag and ${and} and ${missed} limit 1) as p`
}

/** Drops that make invalid, not only stale. */
export const HARD = 'not d.soft'
/** A `put` does not invalidate what it stores, nor does one that it has replaced. */
export const NOT_OWN = 'd.xid <> all(c.own)'

/** A drop's transaction, in the index of drops by age: an expression, so that no probe of a tag is ever planned over it. */
export const BY_AGE = "coalesce(d.xid, '0'::xid8)"

/** The transactions that a snapshot found open, in order: xid8[]. */
export const openOf = (snapshot: string): string => `array(select pg_snapshot_xip(${snapshot}))`

/** A row of cache_state as an epoch. A dump that is restored elsewhere has other table ids, and so another epoch: the
 *  transactions of its entries would mean nothing there. */
export const epochOf = (state: string): string => `${state}.id || '.' || ${state}.tableoid`
