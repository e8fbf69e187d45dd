import type { Effect, Principal, StandardSchemaV1, Tx } from '@keelson/kernel'
import type { FieldRule } from './merge.ts'
import type { Op } from './wire.ts'

/** Who asks: `principal` as authentication proved it, `scope` the tenant of the route. */
export interface Caller {
  readonly principal: Principal
  readonly scope?: string
}

/** How writes of a field meet: 'lww', the later one wins; 'strict', only who read what it holds may write it. */
export type FieldOption = FieldRule | { readonly rule: FieldRule; readonly notify?: true }

/** What an operation has changed; several of one record come one after the other. */
export interface Win<T = Record<string, unknown>> {
  readonly op: string
  readonly id: string
  readonly scope: string
  readonly t: 'put' | 'patch' | 'delete'
  readonly before?: T
  readonly after?: T
  readonly changed: readonly string[]
}

/** One kind of record. */
export interface CollectionOptions<T = Record<string, unknown>> {
  /** Every field that may be written, at most 200; a write of another is rejected as 'invalid'. */
  readonly fields: { readonly [K in keyof T]?: FieldOption }
  /** The one scope that a record is in, by its document. */
  scope(doc: T): string
  /** The person a record is about, for `eraseSubject` and `exportSubject`: kept as a digest. */
  subject?(doc: T): string | undefined
  /** Of the merged document; what fails it is rejected as 'invalid'. */
  readonly schema?: StandardSchemaV1<T>
  /** False, or why not: rejected as 'forbidden'. */
  authorize?(who: Caller, op: Op, current: T | undefined): boolean | string | Promise<boolean | string>
  /** What becomes of an edit of a record that is gone: 'flag' (default) keeps it as a conflict, 'drop' supersedes it. */
  readonly onDeletedEdit?: 'flag' | 'drop'
  /**
   * Writes your tables in the same transaction, once a batch; its effects commit too. Throw {@link OpRejected} to refuse
   * one operation; what breaks a constraint becomes a conflict 'invariant' of the operation that broke it.
   */
  apply?(tx: Tx | undefined, wins: readonly Win<T>[], who: Caller): Promise<readonly Effect[] | void>
  /** Default 1. Raised: devices with another number start over. */
  readonly schemaVersion?: number
}

/** By name: `/^[a-z][a-z0-9_]{0,62}$/`, not pull, push, conflicts, status or digest. */
export type Collections = Readonly<Record<string, CollectionOptions<any>>>
