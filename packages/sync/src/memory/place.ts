import { compareBytes } from '../canonical.ts'
import { SyncError } from '../error.ts'
import type { Place, RecordKey } from '../store.ts'

/** Where a row stands among all. */
export interface RowPlace extends RecordKey {
  readonly tx: number
}

export function comparePlaces(a: RowPlace, b: RowPlace): number {
  return a.tx - b.tx || compareBytes(a.c, b.c) || compareBytes(a.id, b.id) || compareBytes(a.scope, b.scope)
}

/** Neither a collection nor an id has a blank; a scope may. */
export const formatPlace = ({ tx, c, id, scope }: RowPlace): Place => `${tx} ${c} ${id} ${scope}`

/** @throws SyncError CURSOR_INVALID */
export function readPlace(text: Place): RowPlace {
  const [, tx, c, id, scope] = /^(\d{1,15}) (\S+) (\S+) (.+)$/s.exec(text) ?? []
  if (scope === undefined) throw new SyncError('CURSOR_INVALID', 'the cursor names no place')
  return { tx: Number(tx), c: c!, id: id!, scope }
}
