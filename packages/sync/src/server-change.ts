import { merge, type StampedOp } from './merge.ts'
import { documentOf } from './record.ts'
import { nextStamp, type Stamp } from './stamp.ts'
import type { Gone, RecordKey, ServerChange, StoredRecord } from './store.ts'

/** What a write of the server's own makes: its stamp, and the records that it writes. */
export interface ServerChanged {
  readonly stamp: Stamp
  readonly records: readonly StoredRecord[]
}

/**
 * Its stamp comes after all that was done to the record, so it wins, also over strict fields: nobody has to be told that
 * they had read something else. Null: there is nothing to do.
 */
export function serverChanged(
  change: ServerChange,
  find: (key: RecordKey) => StoredRecord | undefined,
  nowMs: number,
  node: string,
): ServerChanged | null {
  const { scope, c, id, to, set, unset } = change
  const held = find({ scope, c, id })
  if (change.t === 'move' && to !== scope) return moved(change, held, find({ scope: to!, c, id }), nowMs, node)
  const stamp = nextStamp(held?.state.h, nowMs, node)
  const t = change.t === 'move' ? 'patch' : change.t
  const record = written({ scope, c, id }, held, { t, h: stamp, set, unset })
  return record === null ? null : { stamp, records: [record] }
}

/** A put of the whole document there, and a tombstone here, of one stamp. */
function moved(
  { scope, c, id, to, set, unset }: ServerChange,
  held: StoredRecord | undefined,
  there: StoredRecord | undefined,
  nowMs: number,
  node: string,
): ServerChanged | null {
  if (held === undefined || held.gone !== undefined) return null
  const last = there !== undefined && there.state.h > held.state.h ? there.state.h : held.state.h
  const stamp = nextStamp(last, nowMs, node)
  const patched = written(held, held, { t: 'patch', h: stamp, set, unset }) ?? held
  const left = written({ scope, c, id }, held, { t: 'delete', h: stamp }, 'scope')!
  const come = written({ scope: to!, c, id }, there, { t: 'put', h: stamp, set: documentOf(patched.state) })!
  return { stamp, records: [left, come] }
}

function written(
  { scope, c, id }: RecordKey,
  held: StoredRecord | undefined,
  op: StampedOp,
  gone: Gone = 'deleted',
): StoredRecord | null {
  const merged = merge(held?.state, op, {})
  if (merged.kind !== 'applied') return null
  return { scope, c, id, state: merged.record, ...(merged.record.isDeleted ? { gone } : {}) }
}
