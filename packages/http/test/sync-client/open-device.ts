import {
  createSyncClient,
  memoryStore,
  type ClientCollection,
  type SyncClient,
  type SyncClientOptions,
} from '@keelson/sync/client'
import type { Task } from './serve-sync.ts'

export const tasks = (client: SyncClient): ClientCollection<Task> => client.collection<Task>('task')

/** Ann's. */
export function openDevice(port: number, more: Partial<SyncClientOptions> = {}): SyncClient {
  return createSyncClient({
    url: `http://127.0.0.1:${port}/sync/`,
    store: memoryStore(),
    collections: { task: {} },
    headers: () => ({ authorization: 'Bearer ann' }),
    interval: false,
    ...more,
  })
}

/** All that it shows, in the order of ids, as text. */
export async function shown(client: SyncClient): Promise<string> {
  const all = (await tasks(client).all()).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  return JSON.stringify(all.map(({ id, doc }) => [id, Object.entries(doc).toSorted()]))
}
