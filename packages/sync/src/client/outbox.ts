import type { Op } from '../wire.ts'
import { isPending, type Pending } from './replica.ts'

/** A server takes 500 and a MiB unless it says otherwise; half a request is sent again sooner than a whole one. */
export const MAX_OPS = 200
const MAX_BYTES = 262_144

const recordOf = ({ c, id }: Op): string => `${c} ${id}`

/** What a push is made of. */
export interface Outbox {
  /** In the order of their making. */
  readonly ops: ReadonlyMap<number, Pending>
  /** By collection; what is not named has 0. */
  readonly priorities: ReadonlyMap<string, number>
  /** Operations that the server would not have yet. */
  readonly waits: ReadonlyMap<number, unknown>
  readonly maxOps: number
}

/** What goes into the next push. First in, first out per record; others overtake; higher priorities first. */
export function nextBatch({ ops, priorities, waits, maxOps }: Outbox): readonly Pending[] {
  const batch: Pending[] = []
  const stopped = new Set<string>()
  const lanes = [...new Set([...priorities.values(), 0])].toSorted((a, b) => b - a)
  let bytes = 0
  for (const lane of lanes) {
    for (const one of ops.values()) {
      const record = recordOf(one.op)
      if ((priorities.get(one.op.c) ?? 0) !== lane || !isPending(one) || stopped.has(record)) continue
      // What may be known under another name is asked for under that name.
      const isOther = batch.length > 0 && one.by !== batch[0]!.by
      if (waits.has(one.n) || isOther) {
        stopped.add(record)
        continue
      }
      if (batch.length > 0 && (batch.length >= maxOps || bytes + one.bytes > MAX_BYTES)) return batch
      batch.push(one)
      bytes += one.bytes
    }
  }
  return batch
}
