import type { StandardSchemaV1 } from '@keelson/kernel'
import type { CollectionOptions } from './collections.ts'
import type { FieldRules } from './merge.ts'

type Doc = Record<string, unknown>

/** A collection with its defaults. */
export interface CheckedCollection {
  readonly name: string
  /** Of every field that may be written. */
  readonly rules: FieldRules
  /** Whoever writes strict fields must know their stamps. */
  readonly hasStrict: boolean
  /** Fields whose loser is told. */
  readonly notify: ReadonlySet<string>
  readonly onDeletedEdit: 'flag' | 'drop'
  readonly schemaVersion: number
  readonly schema: StandardSchemaV1<Doc> | undefined
  readonly scope: (doc: Doc) => string
  readonly subject: ((doc: Doc) => string | undefined) | undefined
  readonly authorize: CollectionOptions<Doc>['authorize']
  readonly apply: CollectionOptions<Doc>['apply']
}
