import type { RecordState } from '../record.ts'
import type { Gone, StoredRecord } from '../store.ts'

/** A record as SQL answers it in JSON. */
export type RecordColumns = readonly [
  scope: string,
  c: string,
  id: string,
  registers: RecordState['registers'],
  h: string,
  deletedAt: string | null,
  gone: Gone | null,
]

/** As SQL: its columns, of the row that is named so. */
export const recordColumns = (row: string): string =>
  ['scope', 'c', 'id', 'reg', 'h', 'deleted_h', 'gone'].map((column) => `${row}.${column}`).join(', ')

export function readRecord([scope, c, id, registers, h, deletedAt, gone]: RecordColumns): StoredRecord {
  const state = { registers, h, ...(deletedAt === null ? {} : { deletedAt }), isDeleted: gone !== null }
  return { scope, c, id, state, ...(gone === null ? {} : { gone }) }
}
