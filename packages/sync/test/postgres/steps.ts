import pg from 'pg'
import { formatStamp } from '../../src/stamp.ts'
import type { Json } from '../../src/json.ts'
import type {
  Pulled,
  PulledRow,
  PullQuery,
  PushWrites,
  RecordKey,
  ServerChange,
  StoredRecord,
  SyncStore,
} from '../../src/store.ts'

let count = 0
/** A scope that nobody else has. */
export const aScope = (): string => `acme/team:${++count}`

export const aChange = (scope: string, id: string, set: Record<string, Json> = { n: 1 }): ServerChange => {
  return { scope, c: 'task', id, t: 'put', set, unset: [] }
}

export const aDelete = (scope: string, id: string): ServerChange => {
  return { scope, c: 'task', id, t: 'delete', set: {}, unset: [] }
}

export function aRecord({ scope, c, id }: RecordKey, ms: number, set: Record<string, Json> = { n: ms }): StoredRecord {
  const h = formatStamp({ ms, counter: 0, node: 'dev' })
  const registers = Object.fromEntries(Object.entries(set).map(([field, value]) => [field, [value, h] as const]))
  return { scope, c, id, state: { registers, h, isDeleted: false } }
}

export const keyOf = (scope: string, id: string): RecordKey => ({ scope, c: 'task', id })

/** What a push of a device writes that only knows its records. */
export function writesOf(client: string, records: readonly StoredRecord[], more: Partial<PushWrites> = {}): PushWrites {
  return {
    client: { client, principal: 'u1', pushed: records.length, offsetMs: 0 },
    results: [],
    records,
    conflicts: [],
    resolved: [],
    subjects: new Map(),
    conflictSubjects: new Map(),
    statements: [],
    ...more,
  }
}

/** A push that takes what it is given, whatever is there. */
export function putThem(store: SyncStore, client: string, records: readonly StoredRecord[]): Promise<void> {
  const keys = records.map(({ scope, c, id }) => ({ scope, c, id }))
  return store.push({ client, keys, ops: [] }, async () => ({ writes: writesOf(client, records), value: undefined }))
}

/** A device: what it was told, by id. */
export interface Device {
  floor: string | null
  readonly rows: Map<string, PulledRow>
  /** Of the last pull. */
  told: string[]
}

export const aDevice = (): Device => ({ floor: null, rows: new Map(), told: [] })

type Page = Extract<Pulled, { kind: 'page' }>

export async function pageOf(store: SyncStore, q: Partial<PullQuery> & Pick<PullQuery, 'scopes'>): Promise<Page> {
  const pulled = await store.pull({ collections: null, floor: null, limit: 100, ...q })
  if (pulled.kind !== 'page') throw new Error(`a page was due, not '${pulled.kind}'`)
  return pulled
}

/** All pages of one pull. `between` runs after each. */
export async function pullAll(
  store: SyncStore,
  device: Device,
  scopes: readonly string[],
  limit = 100,
  between: () => Promise<unknown> = async () => {},
): Promise<string[]> {
  device.told = []
  const { floor } = device
  let page: Page | undefined
  do {
    const paging = page && { target: page.target, after: page.rows.at(-1)!.place }
    const known = floor !== null
    page = await pageOf(store, { scopes: scopes.map((name) => ({ name, isKnown: known })), floor, limit, ...paging })
    for (const row of page.rows) {
      device.told.push(row.id)
      if (row.gone === undefined) device.rows.set(`${row.scope} ${row.id}`, row)
      else device.rows.delete(`${row.scope} ${row.id}`)
    }
    await between()
  } while (page.more)
  device.floor = page.target
  return device.told
}

/** A transaction of somebody else, on a connection of its own; it ends with the test, whatever becomes of that. */
export async function aHolder(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}
