import { BY_AGE, epochOf, openOf } from './rule.sql.ts'

/** A row of pollSql. */
export interface PollRow {
  readonly epoch: string
  /** The snapshot of this statement: what the next poll begins behind. */
  readonly seen: string
  /** Drops that were never polled may have been pruned. */
  readonly missed: boolean
  /** Null: none. */
  readonly stamp: string | null
  readonly scope: string
  readonly tag: string
  readonly soft: boolean
}

/** What has become visible since the snapshot of the last poll: exactly the difference of two snapshots, so a
 *  transaction that stays open for hours holds nothing up. No row: there is no state yet.
 *  $1 name, $2 that snapshot or null, $3 how many at most. */
export const pollSql = (schema: string): string => {
  const seen = '$2::text::pg_snapshot'
  const drops = `select d.xid, d.scope, d.tag, d.soft from ${schema}.cache_drop d where d.name = $1 and ${BY_AGE}`
  return `select s.epoch, pg_current_snapshot()::text as seen,
  coalesce(pg_snapshot_xmin(${seen}) <= s.floor, false) as missed, d.xid::text as stamp, d.scope, d.tag, d.soft
from (select ${epochOf('s')} as epoch, s.floor from ${schema}.cache_state s where s.name = $1) as s
left join (
  ${drops} >= pg_snapshot_xmax(${seen}) union all ${drops} = any(${openOf(seen)})
) as d on true order by d.xid limit $3::int`
}
