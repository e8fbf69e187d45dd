import type { Op, OpResult, Rec } from '../wire.ts'
import { SyncClientError } from './error.ts'
import { freshMeta, type Meta } from './meta.ts'
import type { ClientStore, StoreChange } from './store.ts'

/** A record as the server told it. Without a tag it is one that this device made and that no pull has told yet. */
export interface HeldRec extends Rec {
  readonly c: string
  /** The snapshot that it was in, or that was the last when it came. */
  readonly g: number
  /** The push that it came with, where no pull has told it: one behind that push does, or it is no more. */
  readonly push?: number
}

/** An operation on its way. */
export interface Pending {
  /** In the order of their making. */
  readonly n: number
  readonly op: Op
  /** Of its JSON. */
  readonly bytes: number
  /** The tab that made it. */
  readonly tab: string
  /** The client id that it is sent with, by whichever tab: should it be known, then under this one. */
  readonly by: string
  /** The document as the user had it when it came to nothing before. */
  readonly mine?: Rec['doc'] | null
  /** It came to nothing, and waits for the user. The document as they had it, and as the server has it; null: none. */
  readonly issue?: { readonly result: OpResult; readonly mine: Rec['doc'] | null; readonly theirs: Rec['doc'] | null }
  /** It is over; left for the tab that made it. */
  readonly over?: { readonly result: OpResult; readonly atMs: number }
}

/** It is to be sent, and shown. */
export const isPending = ({ issue, over }: Pending): boolean => issue === undefined && over === undefined

const META = 'm'
export const recKey = (c: string, id: string, s: string): string => `r ${c} ${id} ${s}`
export const opKey = (n: number): string => `o ${n}`
export const recEntry = (rec: HeldRec): StoreChange => [recKey(rec.c, rec.id, rec.s), rec]
export const opEntry = (pending: Pending): StoreChange => [opKey(pending.n), pending]

/** What a step does: entries of records and operations, and what becomes of the rest. */
export interface Step {
  readonly entries?: readonly StoreChange[]
  readonly meta?: Partial<Meta>
}

/** What is told of each change: the record, and an operation as it was and is. */
export type OnChange = (c: string, id: string, now?: Pending, before?: Pending) => void

/** What a device knows: in its store, and in memory as the store has it. */
export interface Replica {
  readonly meta: Meta
  readonly recs: ReadonlyMap<string, HeldRec>
  readonly ops: ReadonlyMap<number, Pending>
  readonly pending: { readonly count: number; readonly bytes: number }
  /**
   * One step of the store, with nobody between: also no other tab.
   * @param ns operations whose newest state `decide` is given; undefined: not there any more
   */
  update(decide: (meta: Meta, ops: readonly (Pending | undefined)[]) => Step, ns?: readonly number[]): Promise<void>
  /** More than one where scopes have records of the same id; in the order of their tags. */
  recsOf(c: string, id: string): readonly HeldRec[]
  opsOf(c: string, id: string): readonly Pending[]
  /** Ids of all that is there, or under way. */
  ids(c: string): ReadonlySet<string>
}

export async function openReplica(store: ClientStore, onChange: OnChange): Promise<Replica> {
  const recs = new Map<string, HeldRec>()
  const ops = new Map<number, Pending>()
  const names = new Map<string, { readonly recs: Set<string>; readonly ops: Set<number> }>()
  const ids = new Map<string, Set<string>>()
  const pending = { count: 0, bytes: 0 }
  let meta: Meta | undefined
  let place = ''
  let highest = 0

  function of(c: string, id: string): { readonly recs: Set<string>; readonly ops: Set<number> } {
    const name = `${c} ${id}`
    let found = names.get(name)
    if (found === undefined) names.set(name, (found = { recs: new Set(), ops: new Set() }))
    return found
  }

  function apply([key, value]: StoreChange): void {
    if (key === META) meta = value as Meta
    else if (key.startsWith('o ')) setOp(Number(key.slice(2)), value as Pending | undefined)
    else setRec(key, value as HeldRec | undefined)
  }

  function setRec(key: string, rec: HeldRec | undefined): void {
    const [, c, id] = key.split(' ') as [string, string, string]
    if (rec === undefined) {
      recs.delete(key)
      of(c, id).recs.delete(key)
    } else {
      recs.set(key, rec)
      of(c, id).recs.add(key)
    }
    count(c, id)
    onChange(c, id)
  }

  function setOp(n: number, one: Pending | undefined): void {
    const before = ops.get(n)
    const op = one ?? before
    if (op === undefined) return
    const { c, id } = op.op
    if (before !== undefined && isPending(before)) tally(-1, before)
    if (one === undefined) {
      ops.delete(n)
      of(c, id).ops.delete(n)
    } else {
      ops.set(n, one)
      if (before === undefined) sortIn(n)
      of(c, id).ops.add(n)
      if (isPending(one)) tally(1, one)
    }
    count(c, id)
    onChange(c, id, one, before)
  }

  /** Another tab may tell late what it made early. */
  function sortIn(n: number): void {
    if (n < highest) {
      const sorted = [...ops].toSorted(([a], [b]) => a - b)
      ops.clear()
      for (const [each, one] of sorted) ops.set(each, one)
    } else highest = n
  }

  function tally(sign: 1 | -1, { bytes }: Pending): void {
    pending.count += sign
    pending.bytes += sign * bytes
  }

  function count(c: string, id: string): void {
    const set = ids.get(c) ?? new Set()
    ids.set(c, set)
    const name = of(c, id)
    if (name.recs.size + name.ops.size > 0) set.add(id)
    else {
      set.delete(id)
      names.delete(`${c} ${id}`)
    }
  }

  /** Not what somebody has begun anew in it, when it was emptied under us. */
  const isOurs = (held: unknown): boolean => place === '' || (held as Meta | undefined)?.place === place

  /** What others wrote is read again: which of two writes was the last only the store knows. */
  async function refresh(keys: readonly string[]): Promise<void> {
    let now: readonly StoreChange[] = []
    await store.update([META, ...keys], ([held, ...values]) => {
      if (isOurs(held)) now = keys.map((key, i) => [key, values[i]] as const)
      return []
    })
    for (const one of now) apply(one)
  }

  /** By another tab, which is not told here yet. */
  function isSettled(n: number, found: Pending | undefined): boolean {
    const known = ops.get(n)
    return known !== undefined && isPending(known) && (found === undefined || !isPending(found))
  }

  /** Somebody cleared the data of the site, and this tab lives: what it knows is written again. */
  function* everything(): Generator<StoreChange> {
    yield [META, meta]
    yield* recs
    for (const one of ops.values()) yield opEntry(one)
  }
  store.watch?.((keys) => void refresh(keys).catch(() => {}))
  const opOf = ([key, value]: StoreChange): number => (key.startsWith('o ') ? (value as Pending).n : 0)
  for (const one of [...(await store.load())].toSorted((a, b) => opOf(a) - opOf(b))) apply(one)

  const replica: Replica = {
    get meta() {
      return meta!
    },
    recs,
    ops,
    pending,
    async update(decide, ns = []) {
      let news: readonly StoreChange[] = []
      let written: readonly StoreChange[] = []
      try {
        await store.update([META, ...ns.map(opKey)], ([held, ...values]) => {
          const isEmptied = held === undefined
          if (!isEmptied && !isOurs(held))
            throw new SyncClientError('STORE', 'sync: the store was emptied, and somebody has begun anew in it')
          const [now, found] = isEmptied ? [meta!, ns.map((n) => ops.get(n))] : [held as Meta, values as Pending[]]
          news = ns.flatMap((n, i) => (isSettled(n, found[i]) ? [[opKey(n), found[i]] as const] : []))
          const { entries = [], meta: more } = decide(now, found)
          written = more === undefined ? entries : [...entries, [META, { ...now, ...more }]]
          return isEmptied ? [...everything(), ...written] : written
        })
      } catch (cause) {
        if (cause instanceof SyncClientError) throw cause
        throw new SyncClientError('STORE', 'sync: what happens on this device cannot be kept', { cause })
      }
      for (const one of [...news, ...written]) apply(one)
    },
    recsOf: (c, id) => [...(names.get(`${c} ${id}`)?.recs ?? [])].toSorted().map((key) => recs.get(key)!),
    opsOf: (c, id) => Array.from(names.get(`${c} ${id}`)?.ops ?? [], (n) => ops.get(n)!).toSorted((a, b) => a.n - b.n),
    ids: (c) => ids.get(c) ?? new Set(),
  }
  await store.update([META], ([held]) => {
    meta = (held as Meta | undefined) ?? freshMeta()
    return held === undefined ? [[META, meta]] : []
  })
  place = meta!.place
  return replica
}
