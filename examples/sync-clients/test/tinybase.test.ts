import { join } from 'node:path'
import { createStore } from 'tinybase'
import { createFilePersister } from 'tinybase/persisters/persister-file'
import { tinyBase } from '../src/tinybase.ts'
import { translationSuite } from './translation-suite.ts'
import type { Doc } from '../src/edits.ts'

translationSuite(
  async (o, dir) => {
    const store = createStore()
    const persister = createFilePersister(store, join(dir, 'store.json'))
    await persister.load()
    await persister.startAutoSave()
    const sync = await tinyBase(store, 'task', o)
    return {
      put: async (id, doc) => void store.setRow('task', id, doc as {}),
      patch: async (id, set) => void store.setPartialRow('task', id, set as {}),
      delete: async (id) => void store.delRow('task', id),
      docs: async () => structuredClone(store.getTable('task')) as Record<string, Doc>,
      sync,
      async close() {
        await persister.save()
        await persister.destroy()
      },
    }
  },
  { reusesIds: true },
)
