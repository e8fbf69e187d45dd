import type { Database, DirtyRaw } from '@nozbe/watermelondb'
import { synchronize, type SyncDatabaseChangeSet, type SyncTableChangeSet } from '@nozbe/watermelondb/sync/index.js'
import { fetchLocalChanges } from '@nozbe/watermelondb/sync/impl/index.js'
import type { Doc } from './edits.ts'
import { localOf, type Kept, type Local } from './kept.ts'
import { openOwed } from './owed.ts'
import { openTimes } from './times.ts'
import { openWire, type WireOptions } from './wire.ts'

/** `synchronize` of a table with a collection. Our cursor is in `localStorage`; `lastPulledAt` numbers what was given. */
export async function watermelonDb(db: Database, table: string, o: WireOptions): Promise<() => Promise<void>> {
  const held = await db.localStorage.get<string>(`sync:${table}`)
  const owed = openOwed(held && JSON.parse(held), (kept) => db.localStorage.set(`sync:${table}`, JSON.stringify(kept)))
  const wire = await openWire(table, owed, o)
  const times = await openTimes(db.localStorage, `sync-times:${table}`)
  let before: Kept['recs'] = {}
  let [given, isTaking] = [0, false]

  db.get(table).changes.subscribe((changes) => {
    for (const { record } of changes) if (!isTaking && record.syncStatus !== 'synced') times.edited(record.id)
  })

  /** What was edited is said of the record as it was before the pull. */
  const local = (id: string, fields?: Doc): Local => localOf(before, id, times.of(id), fields)
  function written({ id, _status, _changed = '', ...raw }: DirtyRaw): Local {
    const changed = (_changed as string).split(',')
    const fields = Object.entries(raw).filter(([name, value]) => (before[id] ? changed.includes(name) : value !== null))
    return local(id, Object.fromEntries(fields.map(([name, value]) => [name, value ?? undefined])))
  }
  const ofTable = (all: SyncDatabaseChangeSet) => (all as Record<string, SyncTableChangeSet>)[table]!

  return async () => {
    do
      await synchronize({
        database: db,
        sendCreatedAsUpdated: true,
        async pullChanges({ lastPulledAt }) {
          owed.drop(() => lastPulledAt === owed.n())
          const edits = ofTable((await fetchLocalChanges(db)).changes).updated
          before = await wire.pull((id) => edits.some((raw) => raw.id === id))
          isTaking = true
          return { changes: { [table]: owed.changes() }, timestamp: (given = owed.n()) }
        },
        async pushChanges({ changes }) {
          isTaking = false
          const { created, updated, deleted } = ofTable(changes)
          const edits = [...[...created, ...updated].map(written), ...deleted.map((id) => local(id))]
          await wire.push(edits)
          times.sent(edits.map(({ id }) => id))
        },
      }).finally(() => (isTaking = false))
    // An edit has lost, or come to nothing: another pull gives what is there instead.
    while (owed.n() !== given)
  }
}
