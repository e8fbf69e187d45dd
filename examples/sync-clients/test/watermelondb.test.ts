import { appSchema, Database, Model, tableSchema } from '@nozbe/watermelondb'
import LokiJSAdapter from '@nozbe/watermelondb/adapters/lokijs/index.js'
import type { Doc } from '../src/edits.ts'
import { watermelonDb } from '../src/watermelondb.ts'
import { translationSuite } from './translation-suite.ts'

class Task extends Model {
  static override table = 'task'
}

const schema = appSchema({
  version: 1,
  tables: [
    tableSchema({
      name: 'task',
      columns: [
        { name: 'title', type: 'string', isOptional: true },
        { name: 'text', type: 'string', isOptional: true },
        { name: 'done', type: 'boolean', isOptional: true },
        { name: 'team', type: 'string', isOptional: true },
        { name: 'budget', type: 'number', isOptional: true },
      ],
    }),
  ],
})

// LokiJS keeps nothing on a disk of Node: what is closed and opened again here is the translation.
const databases = new Map<string, Database>()

function openDatabase(): Database {
  const adapter = new (LokiJSAdapter as any)({
    schema,
    useWebWorker: false,
    useIncrementalIndexedDB: false,
    extraLokiOptions: { autosave: false },
  })
  return new Database({ adapter, modelClasses: [Task] })
}

translationSuite(
  async (o, dir) => {
    const db = databases.get(dir) ?? openDatabase()
    databases.set(dir, db)
    const tasks = db.get<Task>('task')
    const set = (record: Task, doc: Doc): void => {
      for (const [name, value] of Object.entries(doc)) record._setRaw(name, value as never)
    }
    return {
      put: async (id, doc) =>
        void (await db.write(() =>
          tasks.create((record) => {
            record._raw.id = id
            set(record, doc)
          }),
        )),
      patch: async (id, doc) =>
        void (await db.write(async () => (await tasks.find(id)).update((record) => set(record, doc)))),
      delete: async (id) => await db.write(async () => (await tasks.find(id)).markAsDeleted()),
      async docs() {
        const all = await tasks.query().fetch()
        return Object.fromEntries(
          all.map(({ _raw }) => {
            const { id, _status, _changed, ...doc } = _raw
            return [id, Object.fromEntries(Object.entries(doc).filter(([, value]) => value !== null)) as Doc]
          }),
        )
      },
      sync: await watermelonDb(db, 'task', o),
      close: async () => {},
    }
  },
  { reusesIds: false },
)
