import type { BaseItem, Changeset } from '@signaldb/core'
import type { Doc } from './edits.ts'
import { localOf, type Kept, type Local } from './kept.ts'
import { openWire, type Place, type Wire, type WireOptions } from './wire.ts'

type Item = BaseItem<string> & Record<string, any>
type Changes = Changeset<Item> & { readonly modifiedFields: ReadonlyMap<string, readonly string[]> }
type Raw = { readonly time: number; readonly data: string | { readonly id: string } }

/** What `new SyncManager` takes: `{ ...signalDb(options) }`. Collections have the names that they have at the server. */
export function signalDb(o: WireOptions & { readonly place: (name: string) => Place }): {
  pull(of: { name: string }): Promise<{ items: Item[] }>
  push(of: { name: string }, more: { changes: Changes; rawChanges: readonly Raw[] }): Promise<void>
} {
  const wires = new Map<string, Promise<Wire>>()
  const before = new Map<string, Kept['recs']>()

  function wireOf(name: string): Promise<Wire> {
    const wire = wires.get(name) ?? openWire(name, o.place(name), o)
    wires.set(name, wire)
    return wire
  }

  return {
    async pull({ name }) {
      const wire = await wireOf(name)
      before.set(name, await wire.pull())
      return { items: Object.values(wire.kept().recs).map(({ id, doc }) => ({ ...doc, id })) }
    },
    /** A pull was before: what was edited is said of the records as they were then. */
    async push({ name }, { changes: { added, modified, modifiedFields, removed }, rawChanges }) {
      const times = new Map(rawChanges.map(({ time, data }) => [typeof data === 'string' ? data : data.id, time]))
      const local = (id: string, fields?: Doc): Local => localOf(before.get(name)!, id, times.get(id), fields)
      const written = ({ id, ...doc }: Item): Local => {
        const fields = new Set((modifiedFields.get(id) ?? Object.keys(doc)).map((path) => path.split('.')[0]!))
        return local(id, Object.fromEntries(Array.from(fields, (field) => [field, doc[field]])))
      }
      const gone = removed.map(({ id }) => local(id))
      await (await wireOf(name)).push([...[...added, ...modified].map(written), ...gone])
    },
  }
}
