import {
  createSync,
  memoryStore,
  type Caller,
  type Op,
  type OpResult,
  type PullResponse,
  type Rec,
  type SyncOptions,
  type SyncStore,
} from '@keelson/sync'
import { afterAll } from 'vitest'
import { nextStamp, type Stamp } from '../src/stamp.ts'
import { openPostgres } from './postgres/open-postgres.ts'

interface Task {
  team: string
  title: string
  done: boolean
  budget: number
}

export const ann: Caller = { principal: { id: 'ann' } }
export const bob: Caller = { principal: { id: 'bob' } }

const stack = new AsyncDisposableStack()
afterAll(() => stack.disposeAsync())

/** A store of its own for each that asks. */
export const newStores: Record<string, () => Promise<SyncStore>> = {
  memory: async () => memoryStore(),
  Postgres: async () => stack.use(await openPostgres(undefined, { max: 4 })).store,
}

/** A server of tasks that belong to teams; everybody sees teams 1 and 2, and what is theirs. */
export function openSync(o: Partial<Omit<SyncOptions, 'collections'>> & { store?: SyncStore; task?: object } = {}) {
  const { task, store = memoryStore(), ...more } = o
  return createSync({
    store,
    storeTimeout: '30s',
    scopes: ({ principal }) => [`acme/user:${principal.id}`, 'acme/team:1', 'acme/team:2'],
    collections: {
      task: {
        fields: { team: 'lww', title: { rule: 'lww', notify: true }, done: 'lww', budget: 'strict' },
        scope: ({ team }: Task) => `acme/team:${team}`,
        ...task,
      },
    },
    ...more,
  })
}

type Server = ReturnType<typeof openSync>
let ops = 0

/** A device that keeps what it was told, and nothing else. */
export function openDevice(sync: Server, who: Caller, client: string) {
  let last: Stamp | undefined
  let cursor: string | null = null
  const records = new Map<string, Rec & { c: string }>()

  function take(page: PullResponse, seen: Set<string>): void {
    for (const s of page.dropped ?? []) for (const [key, rec] of records) if (rec.s === s) records.delete(key)
    for (const [c, { created, updated, deleted }] of Object.entries(page.changes)) {
      for (const { s, id } of deleted) records.delete(`${s} ${c} ${id}`)
      for (const rec of [...created, ...updated]) {
        seen.add(`${rec.s} ${c} ${rec.id}`)
        records.set(`${rec.s} ${c} ${rec.id}`, { ...rec, c })
      }
    }
  }

  return {
    records,
    get cursor() {
      return cursor
    },
    /** An operation of now, by this device's clock. */
    op(id: string, t: Op['t'], more: Partial<Op> = {}): Op {
      last = nextStamp(last, Date.now(), client)
      return { op: `op-${++ops}`, c: 'task', id, t, h: last, ...more }
    },
    /** Without `sentAt`: its clock is the server's, and a machine that stands still on the way would be a clock that is wrong. */
    async push(...given: readonly Op[]): Promise<readonly OpResult[]> {
      return (await sync.push(who, { v: 1, client, ops: given })).results
    },
    /** Until there is no more. */
    async pull(limit = 1_000): Promise<readonly PullResponse[]> {
      const pages: PullResponse[] = []
      const seen = new Set<string>()
      do {
        const page = await sync.pull(who, { v: 1, client, cursor, limit })
        take(page, seen)
        pages.push(page)
        cursor = page.cursor
      } while (pages.at(-1)!.more)
      if (pages[0]!.mode === 'snapshot') for (const key of records.keys()) if (!seen.has(key)) records.delete(key)
      return pages
    },
    doc: (id: string): object | undefined => [...records.values()].find((rec) => rec.id === id)?.doc,
  }
}
