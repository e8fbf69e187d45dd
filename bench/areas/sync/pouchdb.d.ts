/** What is used of PouchDB, which brings no types. */
declare module 'pouchdb-core' {
  type Kept<T> = T & { _id: string; _rev: string }
  export default class PouchDB<T> {
    static plugin(plugin: unknown): void
    constructor(name: string, o: { adapter: string })
    bulkDocs(docs: object[], o: { new_edits: boolean }): Promise<unknown>
    bulkGet(o: { docs: { id: string }[]; revs: boolean }): Promise<{ results: { docs: { ok: Kept<T> }[] }[] }>
    get(id: string): Promise<Kept<T>>
    put(doc: Kept<T>): Promise<unknown>
    destroy(): Promise<void>
  }
}
declare module 'pouchdb-adapter-memory' {
  const plugin: unknown
  export default plugin
}
