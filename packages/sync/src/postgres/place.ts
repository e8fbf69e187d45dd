import { isScope } from '@keelson/kernel'
import { SyncError } from '../error.ts'
import type { Place, RecordKey } from '../store.ts'

/** Where a row stands among all. */
export interface RowPlace extends RecordKey {
  /** The number of a transaction. */
  readonly tx: string
}

const PLACE = /^(\d{1,18}) ([\w-]{1,128}) ([\w.:~-]{1,128}) (.+)$/s

/** Neither a collection nor an id has a blank; a scope may. */
export const formatPlace = ({ tx, c, id, scope }: RowPlace): Place => `${tx} ${c} ${id} ${scope}`

/** @throws SyncError CURSOR_INVALID */
export function readPlace(text: Place): RowPlace {
  const [, tx, c, id, scope] = PLACE.exec(text) ?? []
  if (!isScope(scope)) throw new SyncError('CURSOR_INVALID', 'the cursor names no place')
  return { tx: tx!, c: c!, id: id!, scope }
}

/** Before the first one. */
export const START: RowPlace = { tx: '0', c: '', id: '', scope: '' }
