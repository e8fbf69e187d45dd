import { nextStamp } from '@keelson/sync/client'
import type { Op, OpResult, PullResponse, Rec } from '@keelson/sync'
import { edited, editOf, type Doc } from './edits.ts'

/** What a database keeps for the wire, as JSON. */
export interface Kept {
  readonly client: string
  readonly cursor: string | null
  /** The highest stamp that it made. */
  readonly last?: string
  /** Operations that the server may know already: they are sent again as they are. */
  readonly sending: readonly Op[]
  readonly recs: Readonly<Record<string, KeptRec>>
  /** States of records that became operations, where a database has names for them. */
  readonly taken?: Readonly<Record<string, string>>
}

/** As the server told it. `s` is missing until a pull has told it; `gone`: it is no more, but there is an edit of it. */
type KeptRec = Omit<Rec, 's'> & { readonly s?: string; readonly gone?: true }

/** A record as a database has it. */
export interface Local {
  readonly id: string
  readonly doc: Doc | undefined
  /** As it was before its edits, unless that is as the server told it last. */
  readonly before?: Doc | undefined
  /** The stamp of that, as the server told it. */
  readonly seen?: string | undefined
  /** When it was edited last, in ms since 1970; undefined: now. */
  readonly at?: number | undefined
  /** What this state is called, and no other one ever: a database may give it again that has not noted that it did. */
  readonly state?: string | undefined
}

/** The server has moved a record from what a database took it for; undefined: none. */
export interface Move {
  readonly id: string
  readonly before: Doc | undefined
  readonly after: Doc | undefined
}

/** What comes of something that the server said. */
export interface Step {
  readonly kept: Kept
  readonly moves: readonly Move[]
}

/** A record of which fields were written, or that was deleted (undefined), when it was as `recs` has it. */
export function localOf(recs: Kept['recs'], id: string, at: number | undefined, fields: Doc | undefined): Local {
  const { doc: before, h: seen } = recs[id] ?? {}
  return { id, before, seen, at, doc: fields && { ...before, ...fields } }
}

const NODE_LETTERS = 12

export const freshKept = (): Kept => ({ client: crypto.randomUUID(), cursor: null, sending: [], recs: {} })

/** An edit becomes an operation, unless one that is being sent says it already. It has the time of its making. */
export function withEdit(kept: Kept, c: string, local: Local, nowMs: number): Kept {
  const { id, doc, state, at = nowMs } = local
  if (state !== undefined && kept.taken?.[id] === state) return kept
  const next = state === undefined ? kept : { ...kept, taken: { ...kept.taken, [id]: state } }
  const { h, s, gone, doc: told } = kept.recs[id] ?? {}
  const behind = (start: Doc | undefined): Doc | undefined =>
    kept.sending.filter((op) => op.id === id).reduce<Doc | undefined>(edited, start)
  const before = 'before' in local ? local.before : told
  const edit = editOf(behind(before), doc)
  if (edit === undefined || (gone && edit.t === 'delete')) return next
  const last = nextStamp(kept.last, at, kept.client.replaceAll('-', '').slice(0, NODE_LETTERS))
  // Who has not seen what the server told last wins over it by their time alone.
  const seen = editOf(behind(told), behind(before)) === undefined ? h : local.seen
  const read = seen !== undefined && { seen, base: seen }
  const op: Op = { op: crypto.randomUUID(), c, id, h: last, ...edit, ...(s !== undefined && { s }), ...read }
  return { ...next, last, sending: [...kept.sending, op] }
}

/** What was sent first is answered, and over unless the server asks for it again. */
export function withResults(kept: Kept, results: readonly OpResult[]): Step {
  const recs = { ...kept.recs }
  const moves = results.flatMap((result, i): readonly Move[] => {
    const op = kept.sending[i]!
    if (result.status === 'retry') return []
    const before = edited(recs[op.id]?.doc, op)
    const now = recBehind(recs[op.id], op, result)
    if (now === undefined) delete recs[op.id]
    else recs[op.id] = now
    return [{ id: op.id, before, after: now?.doc }]
  })
  const sending = kept.sending.filter((_, i) => i >= results.length || results[i]!.status === 'retry')
  const client = results.some(({ code }) => code === 'new-node') ? crypto.randomUUID() : kept.client
  return { kept: { ...kept, client, recs, sending }, moves }
}

function recBehind(old: KeptRec | undefined, op: Op, { status, h = '', rec, replay }: OpResult): KeptRec | undefined {
  if (rec !== undefined) return rec ?? undefined
  // Behind an answer that was lost a pull may have told it, and what came later.
  const isTold = replay && h <= (old?.h ?? '')
  if (status !== 'applied' || isTold || (old === undefined && op.t !== 'put')) return old?.gone ? undefined : old
  const doc = edited(old?.doc, op) as Rec['doc'] | undefined
  return doc && { ...old, id: op.id, h: old !== undefined && old.h > h ? old.h : h, doc }
}

/** @param isEdited there is an edit of it here that was not sent: the server shall say what becomes of that */
export function withPages(
  kept: Kept,
  pages: readonly PullResponse[],
  c: string,
  isEdited: (id: string, doc: Doc) => boolean,
): Step {
  const told = new Map<string, Rec | undefined>()
  for (const { dropped = [], changes } of pages) {
    for (const [id, { s = '' }] of Object.entries(kept.recs)) if (dropped.includes(s)) told.set(id, undefined)
    const { created = [], updated = [], deleted = [] } = changes[c] ?? {}
    // Under another tag it is another record, or the same where it went.
    for (const { id, s } of deleted) if ((told.get(id) ?? kept.recs[id])?.s === s) told.set(id, undefined)
    for (const rec of [...created, ...updated]) told.set(rec.id, rec)
  }
  // What it pushed before is told by now, or no more.
  const isAll = pages[0]!.mode === 'snapshot'
  for (const [id, { s }] of Object.entries(kept.recs))
    if ((isAll || s === undefined) && !told.has(id)) told.set(id, undefined)
  const recs: Record<string, KeptRec> = { ...kept.recs }
  const moves: Move[] = []
  for (const [id, rec] of told) {
    const old = recs[id]
    if (rec === undefined && old !== undefined && isEdited(id, old.doc)) recs[id] = { ...old, gone: true }
    else {
      if (rec === undefined) delete recs[id]
      else recs[id] = rec
      moves.push({ id, before: old?.doc, after: rec?.doc })
    }
  }
  return { kept: { ...kept, recs, cursor: pages.at(-1)!.cursor }, moves }
}
