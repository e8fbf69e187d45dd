import type { Row, Store } from 'tinybase'
import { editOf, rebased, type Doc } from './edits.ts'
import { openWire, type WireOptions } from './wire.ts'
import type { Kept } from './kept.ts'

/**
 * Keeps a table of a store and a collection of the server the same. What it needs for that is a value of the store, so
 * the store's own persister keeps both at once. Call the answer behind edits and now and then, one call at a time.
 */
export async function tinyBase(store: Store, table: string, o: WireOptions): Promise<() => Promise<void>> {
  const [place, times] = [`sync:${table}`, `sync-times:${table}`]
  const rowOf = (id: string): Doc | undefined =>
    store.hasRow(table, id) ? (store.getRow(table, id) as Doc) : undefined

  let isTaking = false
  // In the transaction of the edit.
  store.addRowListener(table, null, (_, __, id) => void (isTaking || store.setCell(times, id, 'at', Date.now())), true)

  function write(id: string, doc: Doc | undefined): void {
    if (doc === undefined) store.delRow(table, id)
    else store.setRow(table, id, doc as Row)
  }

  const wire = await openWire(
    table,
    {
      load: () => JSON.parse((store.getValue(place) as string | undefined) ?? 'null') ?? undefined,
      save: (kept: Kept, moves) => {
        isTaking = true
        store.transaction(() => {
          for (const { id, before, after } of moves) write(id, rebased(before, after, rowOf(id)))
          store.setValue(place, JSON.stringify(kept))
        })
        isTaking = false
      },
    },
    o,
  )
  return async () => {
    const ids = new Set([...store.getRowIds(table), ...Object.keys(wire.kept().recs)])
    await wire.push(
      Array.from(ids, (id) => ({ id, doc: rowOf(id), at: store.getCell(times, id, 'at') as number | undefined })),
    )
    await wire.pull((id, doc) => editOf(doc, rowOf(id)) !== undefined)
    for (const id of store.getRowIds(times))
      if (editOf(wire.kept().recs[id]?.doc, rowOf(id)) === undefined) store.delRow(times, id)
  }
}
