import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Collection, createPersistenceAdapter, type PersistenceAdapter } from '@signaldb/core'
import { SyncManager } from '@signaldb/sync'
import type { Doc } from '../src/edits.ts'
import { signalDb } from '../src/signaldb.ts'
import { translationSuite } from './translation-suite.ts'

const read = async (path: string): Promise<any> => JSON.parse(await readFile(path, 'utf8').catch(() => 'null'))
const write = (path: string, value: unknown): Promise<void> => writeFile(path, JSON.stringify(value))

/** What is being written: a collection that is disposed before is not amused. */
const saves = new Set<Promise<void>>()

/** A file for what one collection has. */
function inFile(path: string): PersistenceAdapter<any, any> {
  return createPersistenceAdapter<any, any>({
    register: async () => {},
    load: async () => ({ items: (await read(path)) ?? [] }),
    save(items) {
      const save = write(path, items).finally(() => saves.delete(save))
      saves.add(save)
      return save
    },
  })
}

translationSuite(
  async (o, dir) => {
    const place = (name: string) => ({
      load: async () => (await read(join(dir, `wire-${name}.json`))) ?? undefined,
      save: (kept: unknown) => write(join(dir, `wire-${name}.json`), kept),
    })
    const manager = new SyncManager<{}, any, string>({
      id: 'tasks',
      autostart: false,
      persistenceAdapter: (name) => inFile(join(dir, `${name}.json`)),
      ...signalDb({ ...o, place }),
    })
    const task = new Collection<any, string>({ name: 'task', persistence: inFile(join(dir, 'task.json')) })
    manager.addCollection(task, { name: 'task' })
    await Promise.all([task.isReady(), manager.isReady()])
    return {
      put: async (id, doc) => void task.insert({ ...doc, id }),
      patch: async (id, set) => void task.updateOne({ id }, { $set: set }),
      delete: async (id) => void task.removeOne({ id }),
      docs: async () =>
        Object.fromEntries(
          task
            .find({}, { reactive: false })
            .fetch()
            .map(({ id, ...doc }: any) => [id, doc as Doc]),
        ),
      sync: () => manager.sync('task'),
      async close() {
        while (saves.size > 0) await Promise.all(saves).then(() => setImmediate())
        await manager.dispose()
        await task.dispose()
      },
    }
  },
  { reusesIds: true },
)
