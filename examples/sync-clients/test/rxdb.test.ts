import {
  addRxPlugin,
  awaitRxStorageReplicationInSync,
  createRxDatabase,
  type RxCollection,
  type RxDatabase,
  type RxJsonSchema,
} from 'rxdb'
import { RxDBLocalDocumentsPlugin } from 'rxdb/plugins/local-documents'
import { replicateRxCollection, type RxReplicationState } from 'rxdb/plugins/replication'
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory'
import { firstValueFrom } from 'rxjs'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../../tools/servers/until.ts'
import type { Doc } from '../src/edits.ts'
import { rxDb } from '../src/rxdb.ts'
import { docsOf, openLine, openStand, type Line, type Stand } from './stand.ts'
import { later, translationSuite } from './translation-suite.ts'

addRxPlugin(RxDBLocalDocumentsPlugin)

const schema: RxJsonSchema<any> = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  properties: {
    id: { type: 'string', maxLength: 128 },
    title: { type: 'string' },
    text: { type: 'string' },
    done: { type: 'boolean' },
    team: { type: 'string' },
    budget: { type: 'number' },
  },
}

const PATIENCE_MS = 60_000

// Its storage in memory outlives a database of the same name: as a disk does.
const storage = getRxStorageMemory()

type Handlers = Awaited<ReturnType<typeof rxDb>>

async function openTasks(name: string): Promise<{ database: RxDatabase; task: RxCollection }> {
  const database = await createRxDatabase({ name, storage, multiInstance: false, eventReduce: false })
  const { task } = await database.addCollections({ task: { schema, localDocuments: true } })
  return { database, task }
}

const replicate = (collection: RxCollection, handlers: Handlers): RxReplicationState<any, { n: number }> =>
  replicateRxCollection<any, { n: number }>({
    collection,
    replicationIdentifier: 'keelson',
    live: true,
    retryTime: 20,
    ...handlers,
  })

translationSuite(
  async (o, dir) => {
    const { database, task } = await openTasks(dir.replaceAll(/[^a-z0-9]/gi, '').toLowerCase())
    let isOnline = false
    const fetchOnline: typeof fetch = async (...request) => {
      if (!isOnline) throw new TypeError('offline')
      return await o.fetch!(...request)
    }
    // As long as the database is open.
    const replication = replicate(task, await rxDb(task, { ...o, fetch: fetchOnline }))
    const find = async (id: string) => (await task.findOne(id).exec())!
    return {
      // In our outbox when it resolves: nobody is online.
      put: async (id, doc) => await replication.awaitDocumentPushed(await task.upsert({ ...doc, id })),
      patch: async (id, set) => await replication.awaitDocumentPushed(await (await find(id)).incrementalPatch(set)),
      delete: async (id) => await replication.awaitDocumentPushed(await (await find(id)).remove()),
      async docs() {
        const all = await task.find().exec()
        return Object.fromEntries(all.map((one: any) => (({ id, ...doc }) => [id, doc as Doc])(one.toMutableJSON())))
      },
      async sync() {
        isOnline = true
        const failed = firstValueFrom(replication.error$)
        replication.reSync()
        const error = await Promise.race([replication.awaitInSync(), failed])
        isOnline = false
        if (error !== true) throw error
      },
      close: async () => void (await database.close()),
    }
  },
  { reusesIds: true },
)

/** A collection without a replication, and what its requests come to. */
async function alone(): Promise<{ stand: Stand; line: Line; task: RxCollection; handlers: Handlers }> {
  const stand = await openStand()
  onTestFinished(() => stand.close())
  const { database, task } = await openTasks(`alone${crypto.randomUUID().slice(0, 8)}`)
  onTestFinished(async () => void (await database.close()))
  const line = openLine()
  const onIssue = (op: any, result: any): void => void line.issues.push({ op, result })
  return { stand, line, task, handlers: await rxDb(task, { url: stand.url, fetch: line.fetch, onIssue }) }
}

async function has(task: RxCollection, id: string, title: string): Promise<void> {
  await until(`${id} is ${title}`, PATIENCE_MS, async () => {
    return (await task.findOne(id).exec())?.get('title') === title || undefined
  })
}

test('an edit from before the replication began has the time of its making', async () => {
  const { stand, task, handlers } = await alone()
  const c = stand.client()
  const tasks = c.collection<Doc>('task')
  await tasks.put('t1', { title: 'x', team: '1' })
  await c.sync()
  const first = replicate(task, handlers)
  await first.awaitInSync()
  await first.cancel()
  const doc = await task.findOne('t1').exec()
  await doc!.incrementalPatch({ title: 'early' })
  await later()
  await tasks.patch('t1', { title: 'late' })
  await c.sync()
  const second = replicate(task, handlers)
  await second.awaitInSync()
  await has(task, 't1', 'late')
  await c.sync()
  expect(await docsOf(c)).toMatchObject({ t1: { title: 'late' } })
})

test('a replication that ends before RxDB has noted what it gave: nothing goes out twice', async () => {
  const { stand, line, task, handlers } = await alone()
  const given: unknown[] = []
  const first = replicate(task, {
    ...handlers,
    push: {
      async handler(rows) {
        const conflicts = await handlers.push.handler(rows)
        given.push(...rows)
        await first.cancel()
        return conflicts
      },
    },
  })
  await task.insert({ id: 't1', title: 'a', team: '1' })
  await until('it is given', PATIENCE_MS, async () => given.length > 0 || undefined)
  await first.cancel()
  // What is in the outbox goes before RxDB comes again with it, and somebody has another idea.
  await handlers.pull.handler(undefined, 100)
  const c = stand.client()
  await c.sync()
  await c.collection<Doc>('task').patch('t1', { title: 'later' })
  await c.sync()
  const second = replicate(task, {
    ...handlers,
    push: { handler: async (rows) => (given.push(...rows), await handlers.push.handler(rows)) },
  })
  await second.awaitInSync()
  await has(task, 't1', 'later')
  await second.awaitInSync()
  expect(given.length).toBe(2)
  expect(stand.wins).toHaveLength(2)
  expect(line.issues).toEqual([])
  expect(await stand.docs()).toMatchObject({ t1: { title: 'later' } })
})

test('a replication that is paused while nothing gets through, and resumed, has lost nothing', async () => {
  const { stand, line, task } = await alone()
  const c = stand.client()
  let isBroken = true
  const handlers = await rxDb(task, {
    url: stand.url,
    onIssue: () => {},
    async fetch(url, init) {
      if (isBroken && (url as string).endsWith('/push')) throw new TypeError('no way')
      return await line.fetch(url, init)
    },
  })
  const replication = replicate(task, handlers)
  await replication.awaitInSync()
  await replication.pause()
  await task.insert({ id: 't1', title: 'a', team: '1' })
  await c.collection<Doc>('task').put('u1', { title: 'c', team: '1' })
  await c.sync()
  let failures = 0
  replication.error$.subscribe(() => failures++)
  await replication.start()
  await until('five failures', PATIENCE_MS, async () => failures >= 5 || undefined)
  await replication.pause()
  isBroken = false
  await awaitRxStorageReplicationInSync(replication.internalReplicationState!)
  await replication.start()
  await has(task, 'u1', 'c')
  await replication.awaitInSync()
  expect(await stand.docs()).toMatchObject({ t1: { title: 'a' }, u1: { title: 'c' } })
})
