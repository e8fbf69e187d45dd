import type { Stamp } from '../stamp.ts'
import type { Op, OpResult, Rec } from '../wire.ts'
import { newName, randomText, seeing, stampOfNow, type Meta } from './meta.ts'
import { docOf, recBehind, writtenAt } from './overlay.ts'
import {
  isPending,
  opEntry,
  opKey,
  recEntry,
  recKey,
  type HeldRec,
  type Pending,
  type Replica,
  type Step,
} from './replica.ts'

/** A push and its answer. */
export interface Answered {
  /** The name that it was sent with. */
  readonly client: string
  /** The operations as they were sent. */
  readonly sent: readonly Pending[]
  readonly results: readonly OpResult[]
  /** The tab that sent it. */
  readonly tab: string
  /** Of the device's clock. */
  readonly ownMs: number
}

/** What a push came to. */
export interface Settlement extends Step {
  /** They are over. */
  readonly over: readonly { readonly pending: Pending; readonly result: OpResult }[]
  /** They are to be sent again, after so long. */
  readonly again: ReadonlyMap<number, number>
}

const AGAIN_MS = 100
/** Of a stamp, before its node. */
const TIME_DIGITS = 15

const isWaiting = ({ status, code }: OpResult): boolean => status === 'retry' && code === 'dependency'

/**
 * What becomes of operations by their results. Nothing outside is changed.
 * @param ops as they are now: undefined for what another tab has settled
 */
export function settle(replica: Replica, meta: Meta, ops: readonly (Pending | undefined)[], o: Answered): Settlement {
  const entries = new Map<string, unknown>()
  const over: { pending: Pending; result: OpResult }[] = []
  const again = new Map<number, number>()
  const stamps = o.results.flatMap(({ h = [] }) => h)
  let now: Meta = { ...seeing(meta, stamps), pushes: meta.pushes + 1 }

  /** A record behind what was written here. */
  function held(c: string, id: string, s: string): HeldRec | undefined {
    const key = recKey(c, id, s)
    return entries.has(key) ? (entries.get(key) as HeldRec | undefined) : replica.recs.get(key)
  }

  /** What an operation was about: where it was, or went since. */
  function current({ c, id, s }: Op): HeldRec | undefined {
    return (s === undefined ? undefined : held(c, id, s)) ?? held(c, id, replica.recsOf(c, id)[0]?.s ?? '')
  }

  /** @param from the tag under which it was */
  function store({ c, id }: Op, from: string | undefined, rec: Rec | undefined): void {
    const there = rec && held(c, id, rec.s)
    for (const s of ['', from, rec?.s]) if (s !== undefined) entries.set(recKey(c, id, s), undefined)
    if (rec === undefined) return
    // Of what a pull has told a pull tells the end, too.
    const isTold = there !== undefined && there.push === undefined
    entries.set(...recEntry({ ...rec, c, g: there?.g ?? now.g, ...(!isTold && { push: now.pushes }) }))
  }

  /** What comes after an own edit has seen it. */
  function rebase({ c, id, ...edit }: Op, h: Stamp): void {
    for (const { n } of replica.opsOf(c, id)) {
      const next = (entries.get(opKey(n)) as Pending | undefined) ?? replica.ops.get(n)!
      if (!isPending(next) || o.sent.some((one) => one.n === n)) continue
      const { base } = next.op
      const more = typeof base === 'object' && { base: { ...base, ...writtenAt({ c, id, ...edit }, h) } }
      entries.set(...opEntry({ ...next, op: { ...next.op, seen: h, ...more } }))
    }
  }

  /** By the ids of their operations, where one waits for another. */
  const named = new Map(
    o.results.some(isWaiting) ? [...replica.ops.values()].map((one) => [one.op.op, one] as const) : [],
  )

  /** The server knows an operation under the name that it came with: of one that had another name the device must know. */
  function known(result: OpResult, { op, dep }: Op): OpResult {
    const first = isWaiting(result) ? named.get(dep!) : undefined
    const { status = 'applied' } = (first?.issue ?? first?.over)?.result ?? {}
    return status === 'applied'
      ? result
      : { op, status: 'rejected', code: 'dependency', detail: `${dep} was not applied` }
  }

  function retry(pending: Pending, result: OpResult): void {
    const { code, retryAfterMs = AGAIN_MS } = result
    const { op, by } = pending
    const { dep, ...alone } = op
    const first = named.get(dep!)
    const isFree = isWaiting(result) && (first === undefined || !isPending(first))
    again.set(pending.n, code === 'new-node' || isFree ? 0 : retryAfterMs)
    if (isFree) entries.set(...opEntry({ ...pending, op: alone }))
    // Another tab may have given it the new name before.
    if (code === 'new-node' && by === o.client)
      entries.set(...opEntry({ ...pending, by: now.client, op: { ...op, h: op.h.slice(0, TIME_DIGITS) + now.node } }))
    if (code !== 'clock-drift') return
    now = { ...now, last: stampOfNow(now, o.ownMs) }
    entries.set(...opEntry({ ...pending, op: { ...op, op: randomText(16), h: now.last! } }))
  }

  // A new name is taken once; what may be known under the old one goes on being asked for under that.
  if (o.results.some(({ code }) => code === 'new-node') && o.client === meta.client) now = { ...now, ...newName() }
  for (const [i, answer] of o.results.entries()) {
    const pending = ops[i]
    if (pending === undefined || !isPending(pending)) continue
    const { op, n } = pending
    const result = known(answer, op)
    const { status, code, h, rec } = result
    if (status === 'retry' || code === 'clock-drift') {
      retry(pending, result)
      continue
    }
    over.push({ pending, result })
    const old = current(op)
    if (status === 'conflict' || status === 'rejected') {
      const mine = docOf(replica, op.c, op.id) ?? pending.mine ?? null
      const theirs = code === 'scope-lost' ? null : ((rec === undefined ? old : rec)?.doc ?? null)
      entries.set(...opEntry({ ...pending, issue: { result, mine, theirs } }))
    } else {
      entries.set(
        ...(pending.tab === o.tab
          ? ([opKey(n), undefined] as const)
          : opEntry({ ...pending, over: { result, atMs: o.ownMs } })),
      )
    }
    if (rec !== undefined) store(op, op.s, rec ?? undefined)
    // What is as new as it was told behind it, such as when the answer had been lost.
    else if (status === 'applied' && h !== undefined && (old === undefined || old.h < h)) {
      store(op, old?.s, recBehind(old, op, h, now.strict[op.c] === true))
    }
    if (status === 'applied' && h !== undefined) rebase(op, h)
  }
  return { entries: [...entries], meta: now, over, again }
}
