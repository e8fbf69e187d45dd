/** What a tab of an app does in the tests of several tabs: one client, its server behind `url`. */
import { createSyncClient, type SyncClient } from '@keelson/sync/client'
import { indexedDbStore } from '@keelson/sync/client/indexeddb'

interface Task {
  by?: string
  text?: string
}

let client: SyncClient
let pushes = 0
const watched: string[] = []
const settled: string[] = []

/** Without `locks` as in a browser that has none. */
export async function open(name: string, url: string, locks: boolean): Promise<void> {
  if (!locks) Object.defineProperty(navigator, 'locks', { value: undefined })
  client = createSyncClient({
    url,
    store: indexedDbStore(name),
    collections: { task: {} },
    retry: { min: 10, max: 100 },
    fetch: (path, init) => {
      if (typeof path === 'string' && path.endsWith('/push')) pushes++
      return fetch(path, init)
    },
  })
  client.collection<Task>('task').watch((ids) => watched.push(...ids))
  await client.start()
}

/** Resolves with the operations when all are kept. */
export async function edit(from: number, count: number, by: string): Promise<string[]> {
  const one = async (i: number): Promise<string> => {
    const ref = await client.collection<Task>('task').put(`t${i}`, { by })
    void ref.settled.then(({ op }) => settled.push(op))
    return ref.op
  }
  return await Promise.all(Array.from({ length: count }, (_, i) => one(from + i)))
}

export const close = (): Promise<void> => client.close()
export const told = () => ({ pushes, watched: [...new Set(watched)], settled: settled.slice() })
export const state = () => ({ pending: client.pending().count, issues: client.issues().length })

export async function shown(): Promise<[id: string, by: string | undefined][]> {
  return (await client.collection<Task>('task').all()).map(({ id, doc }) => [id, doc.by])
}

/** The numbers of what is not sent, as the client sorts them. */
export async function outbox(): Promise<string[]> {
  const ops: string[] = []
  for await (const { op } of client.exportPending()) ops.push(op.op)
  return ops
}
