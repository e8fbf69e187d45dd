import { compareBytes } from '../canonical.ts'
import { nextStamp } from '../stamp.ts'
import type { RecordKey, StoredRecord } from '../store.ts'
import { commit, find, type Kept, type State } from './state.ts'

/** Which records: all of a scope, one of them, or those about a person. */
export type Meant = { readonly scope: string } & Partial<Pick<RecordKey, 'c' | 'id'>> & { readonly subject?: string }

/** Erases values of records wherever they are: in the record and in conflicts; results have none. */
export function forget(
  state: State,
  q: Meant,
  node: string,
): { readonly records: number; readonly clients: readonly string[] } {
  const isMeant = (key: RecordKey): boolean =>
    key.scope === q.scope &&
    (q.id === undefined || (key.c === q.c && key.id === q.id)) &&
    (q.subject === undefined || find(state, key)?.subject === q.subject)
  const clients = new Set<string>()
  for (const [id, { scope, c, record, client }] of state.conflicts) {
    const isAbout = scope === q.scope && q.subject !== undefined && state.conflictSubjects.get(id)!.includes(q.subject)
    if (!isAbout && !isMeant({ scope, c, id: record })) continue
    clients.add(client)
    state.conflicts.delete(id)
    state.conflictSubjects.delete(id)
  }
  const rows = [...(state.scopes.get(q.scope)?.rows.values() ?? [])].filter(({ record }) => isMeant(record))
  for (const row of rows) for (const client of row.clients) clients.add(client)
  const erased = rows.filter(({ record }) => record.gone !== 'erased')
  commit(
    state,
    erased.map(({ record }) => ({ record: withoutValues(record, nextStamp(record.state.h, state.now(), node)) })),
  )
  return { records: erased.length, clients: [...clients].toSorted(compareBytes) }
}

function withoutValues({ scope, c, id }: StoredRecord, h: string): StoredRecord {
  return { scope, c, id, state: { registers: {}, h, deletedAt: h, isDeleted: true }, gone: 'erased' }
}

/** Live records about a person, in the order of their keys. */
export function ofSubject(
  state: State,
  scope: string,
  subject: string,
  after: RecordKey | undefined,
  limit: number,
): readonly StoredRecord[] {
  const isOne = (kept: Kept): boolean =>
    kept.subject === subject &&
    kept.record.gone === undefined &&
    (after === undefined || compareKeys(kept.record, after) > 0)
  return [...(state.scopes.get(scope)?.rows.values() ?? [])]
    .filter(isOne)
    .map(({ record }) => record)
    .toSorted(compareKeys)
    .slice(0, limit)
}

/** Within one scope. */
const compareKeys = (a: RecordKey, b: RecordKey): number => compareBytes(a.c, b.c) || compareBytes(a.id, b.id)
