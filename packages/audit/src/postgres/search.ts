import type { Statement } from '@keelson/kernel'
import type { Search } from '../store.ts'
import { bodyOf, leafColumns } from './leaf-row.ts'
import { SPAN } from './seal.sql.ts'
import { termsOfSearch } from './terms.ts'
import { toText } from './text.ts'

/** Between which indexes leaves of an interval of time can be. */
interface Window {
  readonly from: number
  /** Exclusive; null: no end. */
  readonly to: number | null
}

/** As SQL: the window of $2 to $3 (ms, null without), by the extremes of spans. No number: there is nothing. */
export const windowSql = (schema: string): string => `select (min(s.n) * ${SPAN})::float8 as from,
  ((max(s.n) + 1) * ${SPAN})::float8 as to from ${schema}.audit_span s
where s.log = $1 and ($2::float8 is null or s.max_at_ms >= $2) and ($3::float8 is null or s.min_at_ms < $3)`

/**
 * What is asked for a search. Terms and order say how the planner finds it: what is frequent by walking along the
 * indexes, what is rare by the index of terms. The columns themselves are compared in a `case`, which the planner takes
 * for a guess, else it would count each condition twice.
 */
export function searchStatement(schema: string, log: string, q: Search, window: Window): Statement {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const where = [`l.log = ${$(log)}`]
  const terms = termsOfSearch(log, q)
  if (terms.length > 0) where.push(`l.terms @> ${$(`{${terms.join(',')}}`)}::text::integer[]`)
  const { from, to } = bounds(q, window)
  if (from > 0) where.push(`l.idx >= ${$(from)}::float8::bigint`)
  if (to !== null) where.push(`l.idx < ${$(to)}::float8::bigint`)

  const exact: string[] = []
  const equal = (column: string, text: string | null | undefined): void => {
    if (text != null) exact.push(`l.${column} = ${$(toText(text))}`)
  }
  equal('scope', q.scope)
  equal('actor_type', q.actor?.type)
  equal('actor_id', q.actor?.id)
  equal('action', q.action)
  if (q.actionPrefix !== undefined && q.actionPrefix !== '')
    exact.push(`starts_with(l.action, ${$(toText(q.actionPrefix))})`)
  equal('target_type', q.target?.type)
  equal('target_id', q.target?.id)
  equal('outcome', q.outcome)
  equal('correlation', q.correlationId)
  if (q.ref !== undefined) exact.push(`${$(toText(q.ref))} = any(l.refs)`)
  if (q.fromMs !== undefined) exact.push(`l.at_ms >= ${$(q.fromMs)}::float8`)
  if (q.toMs !== undefined) exact.push(`l.at_ms < ${$(q.toMs)}::float8`)
  if (exact.length > 0) where.push(`case when ${exact.join(' and ')} then true else false end`)

  const text = `select ${leafColumns('l')}, encode(${bodyOf(schema, 'l')}, 'base64') as body
from (select * from ${schema}.audit_leaf l where ${where.join(' and ')}
  order by l.idx ${q.order === 'asc' ? 'asc' : 'desc'} limit ${$(q.limit)}::integer) as l order by l.idx ${q.order === 'asc' ? 'asc' : 'desc'}`
  return { text, values }
}

function bounds({ order, after }: Search, window: Window): Window {
  if (after === undefined) return window
  if (order === 'asc') return { ...window, from: Math.max(window.from, after + 1) }
  return { ...window, to: Math.min(window.to ?? after, after) }
}
