import type { Leaf, SealedRow } from '../store.ts'
import { fromText } from './text.ts'

/** As SQL: the columns of the leaf `alias`, without its bytes. */
export const leafColumns = (alias: string): string =>
  `${alias}.idx::float8 as idx, ${alias}.id::text as id, ${alias}.at_ms::float8 as at_ms, ${[
    'scope',
    'actor_type',
    'actor_id',
    'action',
    'target_type',
    'target_id',
    'outcome',
    'correlation',
    'refs',
  ]
    .map((column) => `${alias}.${column}`)
    .join(', ')}`

/** As SQL: the bytes of the leaf `alias`, null where they were dropped. Looked up one by one: the month of an id says in
 *  which partition. */
export const bodyOf = (schema: string, alias: string): string => `case when ${alias}.idx >=
    (select h.pruned from ${schema}.audit_head h where h.log = ${alias}.log)
  then (select e.body from ${schema}.audit_entry e where e.id = ${alias}.id and e.log = ${alias}.log) end`

/** Those columns, and `body` as base64, which drivers read faster than hex. */
export interface LeafRow {
  readonly idx: number
  readonly id: string
  readonly at_ms: number
  readonly scope: string
  readonly actor_type: string | null
  readonly actor_id: string | null
  readonly action: string
  readonly target_type: string | null
  readonly target_id: string | null
  readonly outcome: Leaf['outcome']
  readonly correlation: string | null
  readonly refs: readonly string[] | null
  readonly body: string | null
}

export function readSealed(row: LeafRow): SealedRow {
  return {
    leaf: {
      index: row.idx,
      id: row.id,
      atMs: row.at_ms,
      scope: fromText(row.scope),
      actorType: fromText(row.actor_type),
      actorId: fromText(row.actor_id),
      action: fromText(row.action),
      targetType: fromText(row.target_type),
      targetId: fromText(row.target_id),
      outcome: row.outcome,
      correlationId: fromText(row.correlation),
      refs: (row.refs ?? []).map(fromText),
    },
    bytes: row.body === null ? null : Buffer.from(row.body, 'base64'),
  }
}
