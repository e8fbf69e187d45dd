import type { Json } from '../json.ts'
import { merge } from '../merge.ts'
import { documentOf, type RecordState, type Register } from '../record.ts'
import { stampAfter, type Stamp } from '../stamp.ts'
import type { Op, Rec } from '../wire.ts'
import { isPending, type Replica } from './replica.ts'

type Doc = Record<string, Json>

/** A record as the user sees it: what the server told, and their own edits on top, whatever time they have. */
export function docOf(replica: Replica, c: string, id: string): Doc | undefined {
  const [rec] = replica.recsOf(c, id)
  let state = rec && stateOf(rec)
  for (const one of replica.opsOf(c, id)) if (isPending(one)) state = edited(state, one.op)
  return state === undefined || state.isDeleted ? undefined : documentOf(state)
}

/** What an applied operation made of a record, as far as this device knows; undefined: nothing is left. */
export function recBehind(rec: Rec | undefined, op: Op, h: Stamp, isStrict: boolean): Rec | undefined {
  const state = edited(rec && stateOf(rec), op)
  if (state === undefined || state.isDeleted) return undefined
  const known = { id: op.id, s: rec?.s ?? op.s ?? '', h, doc: documentOf(state) }
  return isStrict ? { ...known, hs: { ...rec?.hs, ...writtenAt(op, h) } } : known
}

/** The fields that an operation writes, at the stamp that it counts with. */
export function writtenAt({ set = {}, unset = [] }: Op, h: Stamp): Record<string, Stamp> {
  return Object.fromEntries([...Object.keys(set), ...unset].map((field) => [field, h]))
}

function edited(state: RecordState | undefined, op: Op): RecordState | undefined {
  const h = state === undefined || op.h > state.h ? op.h : stampAfter(state.h, 'x')
  const merged = merge(state, { ...op, h }, {})
  return merged.kind === 'applied' ? merged.record : state
}

/** No field is newer than its record, which is what an edit comes after. */
function stateOf({ doc, h }: Rec): RecordState {
  const registers: Record<string, Register> = {}
  for (const [field, value] of Object.entries(doc)) registers[field] = [value, h]
  return { registers, h, isDeleted: false }
}
