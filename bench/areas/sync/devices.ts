import { memoryStore } from '@keelson/sync'
import { createSyncClient, memoryStore as clientStore, type SyncClient } from '@keelson/sync/client'
import * as Automerge from '@automerge/automerge'
import PouchDB from 'pouchdb-core'
import memoryAdapter from 'pouchdb-adapter-memory'
import { Replicache, type WriteTransaction } from 'replicache'
import { createRxDatabase } from 'rxdb/plugins/core'
import { replicateRxCollection } from 'rxdb/plugins/replication'
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory'
import { createMergeableStore, type MergeableChanges, type MergeableContent } from 'tinybase/mergeable-store'
import * as Y from 'yjs'
import { EDITS, RECORDS } from './sizes.ts'
import { idOf, openSync, SCOPE, taskOf, titleOf, WHO, type Task } from './tasks.ts'

/** Keeps tasks in memory, and speaks with a server that answers at once. */
export interface Device {
  /** Takes all records, from the text or bytes that come over the network. */
  takeAll(): Promise<unknown> | unknown
  /** Takes the edits of one field that others made. */
  takeEdits(): Promise<unknown> | unknown
  title(n: number): Promise<unknown> | unknown
  /** Edits one field of each of these records, and answers what it sends of that: one batch. */
  send(): Promise<string | Uint8Array>
  close(): Promise<unknown> | unknown
}

/** `prepare` makes what the network brings, once; `open` a device that has nothing. */
export interface Kind {
  readonly name: string
  prepare(): Promise<{ open(): Promise<Device> | Device }>
}

/** Records of a page, as our client asks for them. */
const PAGE = 500
const all = Array.from({ length: RECORDS }, (_, n) => n)
/** All over the place. */
export const edited: readonly number[] = all.slice(0, EDITS).map((n) => (n * 7_919) % RECORDS)
const pages = <T>(rows: readonly T[]): string[] =>
  Array.from({ length: Math.ceil(rows.length / PAGE) }, (_, i) => JSON.stringify(rows.slice(i * PAGE, (i + 1) * PAGE)))

/** The server is ours, too: its answers are kept, and told again to each device. */
export const keelson: Kind = {
  name: '@keelson/sync/client',
  async prepare() {
    const server = openSync(memoryStore())
    const write = (from: readonly number[], set: (n: number) => Task | { title: string }, t: 'put' | 'patch') =>
      server.write(from.map((n) => ({ c: 'task', scope: SCOPE, x: { t, id: idOf(n), set: set(n) } })))
    for (let from = 0; from < RECORDS; from += 1_000) await write(all.slice(from, from + 1_000), taskOf, 'put')
    const answers = new Map<string | null, string>()
    let cursor: string | null = null
    const tell = async (): Promise<void> => {
      for (let more = true; more;) {
        const answer = await server.pull(WHO, { v: 1, cursor, collections: ['task'], limit: PAGE })
        answers.set(cursor, JSON.stringify(answer))
        ;({ cursor, more } = answer)
      }
    }
    await tell()
    const before = cursor
    const nothing = JSON.stringify(await server.pull(WHO, { v: 1, cursor, collections: ['task'] }))
    await write(edited, (n) => ({ title: titleOf(1, n) }), 'patch')
    await tell()
    return {
      open() {
        let isOnline = false
        let sent = ''
        const client: SyncClient = createSyncClient({
          url: 'http://127.0.0.1/sync',
          store: clientStore(),
          collections: { task: {} },
          async fetch(url, init) {
            const body = init!.body as string
            if (String(url).endsWith('/push')) {
              sent = body
              return new Response(JSON.stringify(await server.push(WHO, JSON.parse(body))))
            }
            const { cursor } = JSON.parse(body) as { cursor: string | null }
            const isNews = cursor !== before || isOnline
            return new Response(isNews ? (answers.get(cursor) ?? nothing) : nothing)
          },
        })
        const tasks = client.collection<Task>('task')
        return {
          takeAll: () => client.sync(),
          takeEdits() {
            isOnline = true
            return client.sync()
          },
          title: async (n) => (await tasks.get(idOf(n)))?.title,
          async send() {
            for (const n of edited) await tasks.patch(idOf(n), { title: titleOf(2, n) })
            await client.sync()
            return sent
          },
          close: () => client.close(),
        }
      },
    }
  },
}

/** Its replication, memory storage; pages as big as ours. A document that is sent has the one before beside it. */
const rxdb: Kind = {
  name: 'rxdb 17.6.0',
  async prepare() {
    const documents = all.map((n) => ({ id: idOf(n), ...taskOf(n), _deleted: false }))
    const first = pages(documents)
    const second = pages(edited.map((n) => ({ ...documents[n], title: titleOf(1, n) })))
    let names = 0
    const text = { type: 'string' } as const
    return {
      async open() {
        const name = `bench${names++}`
        const db = await createRxDatabase({ name, storage: getRxStorageMemory(), multiInstance: false })
        const schema = {
          version: 0,
          primaryKey: 'id',
          type: 'object',
          properties: {
            id: { type: 'string', maxLength: 128 },
            team: text,
            title: text,
            done: { type: 'boolean' },
            note: text,
          },
          required: ['id'],
        } as const
        const { task } = await db.addCollections({ task: { schema } })
        let known = first
        let sent = ''
        const replication = replicateRxCollection<{ id: string } & Task, { page: number }>({
          collection: task!,
          replicationIdentifier: name,
          waitForLeadership: false,
          autoStart: false,
          pull: {
            batchSize: PAGE,
            async handler({ page } = { page: 0 }) {
              const documents = JSON.parse(known[page] ?? '[]')
              return { documents, checkpoint: { page: Math.min(page + 1, known.length) } }
            },
          },
          push: {
            batchSize: EDITS,
            async handler(rows) {
              sent = JSON.stringify(rows)
              return []
            },
          },
        })
        return {
          async takeAll() {
            await replication.start()
            await replication.awaitInSync()
          },
          async takeEdits() {
            known = [...first, ...second]
            replication.reSync()
            await replication.awaitInSync()
          },
          title: async (n) => (await task!.findOne(idOf(n)).exec())?.title,
          async send() {
            // One write, so that they go together.
            await task!.bulkUpsert(edited.map((n) => ({ id: idOf(n), ...taskOf(n), title: titleOf(2, n) })))
            await replication.awaitInSync()
            return sent
          },
          close: () => db.close(),
        }
      },
    }
  },
}

/** What its replication writes: pages of documents with their revisions, as they are. */
const pouchdb: Kind = {
  name: 'pouchdb 9.0.0',
  async prepare() {
    PouchDB.plugin(memoryAdapter)
    const revision = (generation: number, n: number): string =>
      (generation * 1_000_000 + n).toString(16).padStart(32, '0')
    const document = (n: number, generation: number, task: Task) => {
      const ids = Array.from({ length: generation }, (_, i) => revision(generation - i, n))
      return { ...task, _id: idOf(n), _rev: `${generation}-${ids[0]}`, _revisions: { start: generation, ids } }
    }
    const first = pages(all.map((n) => document(n, 1, taskOf(n))))
    const second = pages(edited.map((n) => document(n, 2, { ...taskOf(n), title: titleOf(1, n) })))
    let names = 0
    return {
      open() {
        const db = new PouchDB<Task>(`bench${names++}`, { adapter: 'memory' })
        const take = async (texts: readonly string[]): Promise<void> => {
          for (const text of texts) await db.bulkDocs(JSON.parse(text), { new_edits: false })
        }
        return {
          takeAll: () => take(first),
          takeEdits: () => take(second),
          title: async (n) => (await db.get(idOf(n))).title,
          async send() {
            for (const n of edited) await db.put({ ...(await db.get(idOf(n))), title: titleOf(2, n) })
            const { results } = await db.bulkGet({ docs: edited.map((n) => ({ id: idOf(n) })), revs: true })
            return JSON.stringify({ docs: results.map(({ docs: [doc] }) => doc!.ok), new_edits: false })
          },
          close: () => db.destroy(),
        }
      },
    }
  },
}

/** A mergeable store; all edits are one transaction, which is its best. */
const tinybase: Kind = {
  name: 'tinybase 10.0.1',
  async prepare() {
    const server = createMergeableStore('server')
    server.transaction(() => {
      for (const n of all) server.setRow('task', idOf(n), taskOf(n))
    })
    const first = JSON.stringify(server.getMergeableContent())
    const edit = (store: typeof server, times: number): string => {
      let changes: MergeableChanges | undefined
      const listener = store.addDidFinishTransactionListener(() => {
        changes = store.getTransactionMergeableChanges()
      })
      store.transaction(() => {
        for (const n of edited) store.setCell('task', idOf(n), 'title', titleOf(times, n))
      })
      store.delListener(listener)
      return JSON.stringify(changes)
    }
    const second = edit(server, 1)
    return {
      open() {
        const store = createMergeableStore('device')
        return {
          takeAll: () => store.setMergeableContent(JSON.parse(first) as MergeableContent),
          takeEdits: () => store.applyMergeableChanges(JSON.parse(second) as MergeableChanges),
          title: (n) => store.getCell('task', idOf(n), 'title'),
          send: async () => edit(store, 2),
          close() {},
        }
      },
    }
  },
}

/** A map of maps; each edit is a transaction of its own. */
const yjs: Kind = {
  name: 'yjs 13.6.33',
  async prepare() {
    const tasksOf = (doc: Y.Doc) => doc.getMap<Y.Map<string | boolean>>('task')
    const server = new Y.Doc()
    server.transact(() => {
      for (const n of all) tasksOf(server).set(idOf(n), new Y.Map<string | boolean>(Object.entries(taskOf(n))))
    })
    const first = Y.encodeStateAsUpdate(server)
    const edit = (doc: Y.Doc, times: number): Uint8Array => {
      const before = Y.encodeStateVector(doc)
      for (const n of edited) tasksOf(doc).get(idOf(n))!.set('title', titleOf(times, n))
      return Y.encodeStateAsUpdate(doc, before)
    }
    const second = edit(server, 1)
    return {
      open() {
        const doc = new Y.Doc()
        return {
          takeAll: () => Y.applyUpdate(doc, first),
          takeEdits: () => Y.applyUpdate(doc, second),
          title: (n) => tasksOf(doc).get(idOf(n))?.get('title'),
          send: async () => edit(doc, 2),
          close: () => doc.destroy(),
        }
      },
    }
  },
}

/** One document with all tasks; each edit is a change of its own. */
const automerge: Kind = {
  name: '@automerge/automerge 3.5.0',
  async prepare() {
    type Tasks = { task: Record<string, Task> }
    const task = Object.fromEntries(all.map((n) => [idOf(n), taskOf(n)]))
    const server = Automerge.from<Tasks>({ task })
    const first = Automerge.save(server)
    const edit = (from: Automerge.Doc<Tasks>, times: number): [Automerge.Doc<Tasks>, Uint8Array] => {
      let doc = from
      const heads = Automerge.getHeads(doc)
      for (const n of edited) {
        doc = Automerge.change(doc, (draft) => void (draft.task[idOf(n)]!.title = titleOf(times, n)))
      }
      return [doc, Automerge.saveSince(doc, heads)]
    }
    const [, second] = edit(Automerge.clone(server), 1)
    return {
      open() {
        let doc = Automerge.init<Tasks>()
        return {
          takeAll: () => (doc = Automerge.load<Tasks>(first)),
          takeEdits: () => (doc = Automerge.loadIncremental(doc, second)),
          title: (n) => doc.task[idOf(n)]?.title,
          async send() {
            const [next, bytes] = edit(doc, 2)
            doc = next
            return bytes
          },
          close: () => Automerge.free(doc),
        }
      },
    }
  },
}

/** Who waits for a request of Replicache when it closes is told so. */
const closed = (): void => {}

/** Its memory store; all records are one patch, since it has no pages. */
const replicache: Kind = {
  name: 'replicache 15.3.0',
  async prepare() {
    const put = (n: number, title?: string) => {
      const value = title === undefined ? taskOf(n) : { ...taskOf(n), title }
      return { op: 'put', key: `task/${idOf(n)}`, value }
    }
    const answer = (cookie: number, patch: readonly object[]): string =>
      JSON.stringify({ cookie, lastMutationIDChanges: {}, patch })
    const first = answer(
      1,
      all.map((n) => put(n)),
    )
    const second = answer(
      2,
      edited.map((n) => put(n, titleOf(1, n))),
    )
    const ok = { httpRequestInfo: { httpStatusCode: 200, errorMessage: '' } }
    let names = 0
    return {
      async open() {
        let known = 0
        let sent = Promise.withResolvers<string>()
        const device = new Replicache({
          name: `bench${names++}`,
          kvStore: 'mem',
          pullInterval: null,
          pushDelay: 60_000,
          // It waits 30 ms between two requests otherwise.
          requestOptions: { minDelayMs: 0 },
          logLevel: 'error',
          mutators: {
            async edit(tx: WriteTransaction, { id, title }: { id: string; title: string }) {
              const task = (await tx.get(`task/${id}`)) as Task
              await tx.set(`task/${id}`, { ...task, title })
            },
          },
          async puller({ cookie }: { cookie: unknown }) {
            const next = Number(cookie ?? 0) < known ? (known === 1 ? first : second) : answer(Number(cookie ?? 0), [])
            return { ...ok, response: JSON.parse(next) }
          },
          async pusher(request) {
            sent.resolve(JSON.stringify(request))
            return ok
          },
        })
        await device.pull({ now: true })
        /** What `pull` answers may come before what it brings. */
        const take = (upTo: number): Promise<void> => {
          known = upTo
          const { promise, resolve } = Promise.withResolvers<void>()
          const stop = device.experimentalWatch(() => {
            stop()
            resolve()
          })
          device.pull({ now: true }).catch(closed)
          return promise
        }
        return {
          takeAll: () => take(1),
          takeEdits: () => take(2),
          title: async (n) => ((await device.query((tx) => tx.get(`task/${idOf(n)}`))) as Task | undefined)?.title,
          async send() {
            for (const n of edited) await device.mutate.edit({ id: idOf(n), title: titleOf(2, n) })
            device.push({ now: true }).catch(closed)
            return sent.promise
          },
          close: () => device.close(),
        }
      },
    }
  },
}

export const kinds: readonly Kind[] = [keelson, rxdb, pouchdb, tinybase, yjs, automerge, replicache]
