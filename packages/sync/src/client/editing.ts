import { opFault } from '../read-op.ts'
import type { Op, OpResult } from '../wire.ts'
import { SyncClientError } from './error.ts'
import { randomText, stampOfNow } from './meta.ts'
import { opEntry, opKey, type Pending, type Replica } from './replica.ts'
import type { OpRef } from './sync-client.ts'

/** What an edit says. */
export type Edit = Pick<Op, 'c' | 'id' | 't' | 'set' | 'unset' | 'dep'>

/** An issue that an edit takes the place of: when that is there no more, nothing happens. */
interface Replaces extends Pick<Pending, 'n' | 'mine'> {
  /** What the edit keeps of it. */
  readonly as: Partial<Op>
}

/** Puts edits into the outbox, and tells what becomes of them. */
export interface Editing {
  add(edit: Edit, replaces?: Replaces): Promise<OpRef | undefined>
  /** The server has spoken. */
  settled(n: number, result: OpResult): void
  /** Nobody will ask the server any more. */
  abandon(): void
}

export function createEditing(o: { readonly replica: Replica; readonly tab: string; ownMs(): number }): Editing {
  const { replica, tab } = o
  const waiting = new Map<number, { readonly op: string; readonly resolve: (result: OpResult) => void }>()

  /** What the user has before them. */
  function seen({ c, id, set = {}, unset = [] }: Edit): Pick<Op, 's' | 'seen' | 'base'> {
    const [rec] = replica.recsOf(c, id)
    const fields = [...Object.keys(set), ...unset]
    const base = Object.fromEntries(
      fields.flatMap((field) => (rec?.hs?.[field] === undefined ? [] : [[field, rec.hs[field]]])),
    )
    return {
      ...(rec !== undefined && rec.s !== '' && { s: rec.s }),
      ...(rec !== undefined && { seen: rec.h }),
      ...(replica.meta.strict[c] !== false && { base }),
    }
  }

  return {
    async add({ c, id, t, ...more }, replaces) {
      const { set, unset, dep } = more
      const content = {
        c,
        id,
        t,
        ...(set === undefined ? {} : { set: copyOf(set) }),
        ...(unset === undefined ? {} : { unset: [...unset] }),
        ...(dep === undefined ? {} : { dep }),
      }
      const name = randomText(16)
      const { promise: settled, resolve } = Promise.withResolvers<OpResult>()
      let n: number | undefined
      const decide: Parameters<Replica['update']>[0] = (meta, [old]) => {
        if (replaces !== undefined && old?.issue === undefined) return {}
        const last = stampOfNow(meta, o.ownMs())
        const op: Op = { op: name, h: last, ...content, ...seen(content), ...replaces?.as }
        const fault = opFault({ ...op })
        if (fault !== undefined) throw new SyncClientError('INPUT_INVALID', `${c} ${JSON.stringify(id)}: ${fault}`)
        n = meta.n + 1
        waiting.set(n, { op: name, resolve })
        const gone = replaces === undefined ? [] : [[opKey(replaces.n), undefined] as const]
        const mine = replaces?.mine === undefined ? {} : { mine: replaces.mine }
        const pending: Pending = { n, op, tab, by: meta.client, bytes: JSON.stringify(op).length, ...mine }
        return { entries: [...gone, opEntry(pending)], meta: { n, last } }
      }
      try {
        await replica.update(decide, replaces === undefined ? [] : [replaces.n])
      } catch (error) {
        if (n !== undefined) waiting.delete(n)
        throw error
      }
      return n === undefined ? undefined : { op: name, settled }
    },
    settled(n, result) {
      waiting.get(n)?.resolve(result)
      waiting.delete(n)
    },
    abandon() {
      for (const { op, resolve } of waiting.values()) resolve({ op, status: 'rejected', code: 'signed-out' })
      waiting.clear()
    },
  }
}

/** What somebody changes later does not change what was said. */
export function copyOf<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copyOf) as T
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, copyOf(member)])) as T
}
