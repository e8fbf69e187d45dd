import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case, Tools } from '@keelson/kernel/conformance'
import { merge, type StampedOp } from '../merge.ts'
import { documentOf } from '../record.ts'
import { formatStamp, type Stamp } from '../stamp.ts'
import type {
  ConflictRow,
  Pulled,
  PulledRow,
  PullQuery,
  PushState,
  PushWrites,
  RecordKey,
  ServerChange,
  StoredRecord,
  SyncStore,
} from '../store.ts'
import type { OpenTransaction, StoreUnderTest } from './store-under-test.ts'

/** What must not be over lasts an hour: no machine stands still that long. */
export const LONG_MS = 3_600_000
/** What must be over ends soon, and is waited for. */
export const SHORT_MS = 60
/** Of the process that makes the server's own changes. */
export const NODE = 'n0'
/** The collection, unless a case needs more. */
export const C = 'task'

type Page = Extract<Pulled, { kind: 'page' }>

/** What a case asks for: its own scopes, all collections and everything, unless it says otherwise. */
type Asked = Partial<Omit<PullQuery, 'scopes'>> & {
  /** Default: of the case, known exactly if there is a floor. */
  readonly scopes?: PullQuery['scopes']
}

/** What a case of a store works with. */
export interface Stage extends Tools {
  readonly store: SyncStore
  /** The same store, as another process sees it. */
  readonly peer: SyncStore
  /** Of this case alone; the second is below the first by name, and has nothing to do with it. */
  readonly scope: string
  readonly below: string
  /** A device of this case alone. */
  readonly client: string
  begin(): Promise<OpenTransaction>
  elapse(ms: number): Promise<void>
  /** Ms by the store's clock. */
  now(): Promise<number>
  /** Changes of the server, of `C` and in `scope` unless they say otherwise; each sets or unsets nothing more. */
  change(...changes: readonly Changed[]): Promise<readonly (Stamp | null)[]>
  /** A push that writes this; answers what it had read of `keys` and `ops`: those that it writes, if none are named. */
  push(writes?: Partial<PushWrites>, q?: Partial<Pushed>): Promise<PushState>
  /** A record as a push writes it: merged from these. */
  record(id: string, ...ops: readonly StampedOp[]): StoredRecord
  conflict(row?: Partial<ConflictRow>): Omit<ConflictRow, 'status'>
  key(id: string, scope?: string): RecordKey
  /** One page. Fails for what is none. */
  page(q?: Asked): Promise<Page>
  /** All pages of a pull, each of `limit` rows. */
  pull(q?: Asked): Promise<{ readonly rows: readonly PulledRow[]; readonly target: string; readonly pages: number }>
  /** Everything that is old enough is gone, also of cases before. */
  collect(o?: { readonly batch?: number }): Promise<void>
}

type Changed = Pick<ServerChange, 't' | 'id'> & Partial<ServerChange>

interface Pushed {
  readonly client: string
  readonly keys: readonly RecordKey[]
  readonly ops: readonly string[]
}

/** A case whose store comes with scopes of its own. */
export function onStage(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<StoreUnderTest> {
  return {
    name,
    ...(needs.length === 0 ? {} : { needs }),
    async run(subject, tools) {
      const open = new Set<OpenTransaction>()
      try {
        await run(openStage(subject, tools, open))
      } finally {
        for (const one of open) await one.rollback()
      }
    },
  }
}

/** A stamp at so many ms of long ago, of a device. */
export const at = (ms: number, node = 'd1'): Stamp => formatStamp({ ms: 1_700_000_000_000 + ms, counter: 0, node })

/** A write of a device. */
export function op(t: StampedOp['t'], ms: number, set: StampedOp['set'] = {}, node?: string): StampedOp {
  return { t, h: at(ms, node), set }
}

function openStage(
  { store, peer = store, elapse = sleep, begin }: StoreUnderTest,
  tools: Tools,
  open: Set<OpenTransaction>,
): Stage {
  const unique = randomUUID()
  const scope = `case ${unique}`
  const client = `device-${unique}`
  let conflicts = 0

  async function page({ scopes, ...q }: Asked = {}): Promise<Page> {
    const floor = q.floor ?? null
    const asked = scopes ?? [{ name: scope, isKnown: floor !== null }]
    const pulled = await store.pull({ collections: null, limit: 1_000, ...q, floor, scopes: asked })
    if (pulled.kind !== 'page') throw new Error(`instead of a page: ${pulled.kind}`)
    return pulled
  }

  return {
    ...tools,
    store,
    peer,
    scope,
    below: `${scope}/below`,
    client,
    async begin() {
      const began = await begin!()
      const ended = (): void => void open.delete(began)
      const one: OpenTransaction = {
        tx: began.tx,
        commit: () => began.commit().finally(ended),
        rollback: () => began.rollback().finally(ended),
        ...(began.prepare === undefined ? {} : { prepare: () => began.prepare!().finally(ended) }),
      }
      open.add(began)
      return one
    },
    async elapse(ms) {
      await elapse(ms)
    },
    now: async () => (await page({ limit: 1 })).nowMs,
    change: (...changes) =>
      store.change(
        changes.map((one) => ({ scope, c: C, set: {}, unset: [], ...one })),
        NODE,
      ),
    async push(writes = {}, q = {}) {
      const query = {
        client,
        keys: (writes.records ?? []).map(({ scope, c, id }) => ({ scope, c, id })),
        ops: (writes.results ?? []).map((row) => row.op),
        ...q,
      }
      return store.push(query, async ({ state }) => ({ value: state, writes: pushWrites(query.client, writes) }))
    },
    record(id, ...ops) {
      let state: StoredRecord['state'] | undefined
      for (const one of ops) {
        const merged = merge(state, one, {})
        if (merged.kind !== 'applied') throw new Error(`${one.t} is ${merged.kind}`)
        state = merged.record
      }
      return { scope, c: C, id, state: state!, ...(state!.isDeleted ? { gone: 'deleted' } : {}) }
    },
    conflict: (row = {}) => ({
      id: `${unique}-${String(conflicts++).padStart(3, '0')}`,
      scope,
      c: C,
      record: 'r1',
      code: 'gone',
      op: { op: 'o1', c: C, id: 'r1', t: 'patch', h: at(1), set: { title: 'mine' } },
      current: null,
      principal: 'ann',
      client,
      atMs: 1_700_000_000_000,
      ...row,
    }),
    key: (id, where = scope) => ({ scope: where, c: C, id }),
    page,
    async pull(q = {}) {
      const rows: PulledRow[] = []
      for (let pages = 1, asked = q; ; pages++) {
        const { target, more, ...one } = await page(asked)
        rows.push(...one.rows)
        if (!more) return { rows, target, pages }
        if (one.rows.length === 0 || pages > 1_000) throw new Error('a page is empty, and more is to come')
        asked = { ...q, target, after: rows.at(-1)!.place }
      }
    },
    async collect({ batch = 1_000 } = {}) {
      await elapse(SHORT_MS)
      for (let steps = 0; steps < 1_000; steps++) {
        const { tombstones, ops } = await store.gc({ tombstonesMs: 1, opsMs: 1, batch })
        if (tombstones + ops === 0) return
      }
      throw new Error('there is always something left to remove')
    },
  }
}

/** Does this over and over until the work has ended. */
export async function during(work: Promise<unknown>, step: () => Promise<void>): Promise<void> {
  const progress = { isOver: false }
  const over = work.finally(() => {
    progress.isOver = true
  })
  over.catch(() => {})
  while (!progress.isOver) {
    await step()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await over
}

/** What a push writes, of a device that says nothing new. */
export function pushWrites(client: string, writes: Partial<PushWrites> = {}): PushWrites {
  return {
    client: { client, principal: 'ann', pushed: 1, offsetMs: 0 },
    results: [],
    records: [],
    conflicts: [],
    resolved: [],
    subjects: new Map(),
    conflictSubjects: new Map(),
    statements: [],
    ...writes,
  }
}

/** What rows say: id, then the document or why there is none. */
export const told = (rows: readonly StoredRecord[]): readonly (readonly [string, unknown])[] =>
  rows.map(({ id, state, gone }) => [id, gone ?? documentOf(state)])

/** The same in the order of ids, for what has no other order. */
export const toldById = (rows: readonly StoredRecord[]): readonly (readonly [string, unknown])[] =>
  told(rows).toSorted(([a], [b]) => (a < b ? -1 : 1))
