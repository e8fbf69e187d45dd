import { documentOf, stampOf } from './record.ts'
import type { StoredRecord } from './store.ts'
import type { Rec } from './wire.ts'

/** A live record as it travels; `hs` with the stamps of its fields. */
export function recOf({ id, scope, state }: StoredRecord, tagOf: (scope: string) => string, withStamps: boolean): Rec {
  const rec: Rec = { id, s: tagOf(scope), h: state.h, doc: documentOf(state) }
  if (!withStamps) return rec
  const stamps = Object.entries(state.registers).map(([field, register]) => [field, stampOf(register)] as const)
  return { ...rec, hs: Object.fromEntries(stamps) }
}
