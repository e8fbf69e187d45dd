import type { QueryResult, Statement, Tx } from '../tx.ts'

/** Transaction isolation of PostgreSQL; default the session's. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** How a unit's work ends. */
export type UnitEnd<T> =
  /** `statements` and COMMIT leave in one flight. */
  | { readonly end: 'commit'; readonly statements: readonly Statement[]; readonly value: T }
  /** `value` is returned before ROLLBACK is answered. */
  | { readonly end: 'rollback'; readonly value: T }

/** A unit with its options read. */
export interface UnitPlan<T> {
  readonly open: readonly Statement[]
  readonly work: (tx: Tx, opened: readonly QueryResult[]) => Promise<UnitEnd<T>>
  readonly isolation: Isolation | undefined
  readonly stallMs: number
  readonly acquireMs: number
  readonly openMs: number
}
