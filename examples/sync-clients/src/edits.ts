import { canonical } from '@keelson/sync/client'
import type { Json, Op } from '@keelson/sync'

/** Values of fields; undefined is an absent field. */
export type Doc = Readonly<Record<string, Json | undefined>>
/** What an operation writes. */
export type Edit = Pick<Op, 't' | 'set' | 'unset'>

/** What makes one document of another; undefined: they are the same. */
export function editOf(before: Doc | undefined, after: Doc | undefined): Edit | undefined {
  if (after === undefined) return before === undefined ? undefined : { t: 'delete' }
  const isNew = ([field, value]: [string, Json | undefined]): boolean =>
    value !== undefined && (before?.[field] === undefined || canonical(value) !== canonical(before[field]))
  const set = Object.fromEntries(Object.entries(after).filter(isNew)) as Record<string, Json>
  if (before === undefined) return { t: 'put', set }
  const unset = Object.keys(before).filter((field) => before[field] !== undefined && after[field] === undefined)
  return Object.keys(set).length + unset.length === 0 ? undefined : { t: 'patch', set, unset }
}

/** A document behind an edit. */
export function edited(doc: Doc | undefined, { t, set, unset = [] }: Edit): Doc | undefined {
  const fields = Object.entries({ ...doc, ...set }).filter(([field]) => !unset.includes(field))
  return t === 'delete' ? undefined : Object.fromEntries(fields)
}

/** What a record is to be that the server has moved: what was edited here meanwhile stays on top, and is sent later. */
export function rebased(before: Doc | undefined, after: Doc | undefined, local: Doc | undefined): Doc | undefined {
  const meanwhile = editOf(before, local)
  if (meanwhile === undefined) return after
  return after === undefined || local === undefined ? local : edited(after, meanwhile)
}
