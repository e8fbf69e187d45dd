import { stampOf, type RecordState } from './record.ts'
import { formatStamp, msOf, nextStamp, nodeOf, shiftStamp, stampAfter, type Stamp } from './stamp.ts'

/** Clocks that are nearer than this are taken for the same one: a request takes its time. */
const SAME_CLOCK_MS = 2_000
/** What no device's clock is wrong by, when nothing tells how wrong it is. */
const UNKNOWN_CLOCK_MS = 86_400_000

/** When a push arrived, by both clocks. */
export interface PushTime {
  /** Of the server, in ms since 1970. */
  readonly nowMs: number
  /** Of the device, as it sent. */
  readonly sentAtMs: number | undefined
  readonly maxDriftMs: number
}

/**
 * The stamp that an operation counts with, or undefined for one from a future that nothing explains.
 * Its own time, moved by how far the device's clock is off, at most `maxDrift` ahead of ours. And whoever saw what they
 * overwrite comes after it: so says `seen`, and so does the order in which one device writes one record.
 * @param top the highest stamp that operations of this client have here: those that are cut off keep their order
 */
export function serverStamp(
  op: { readonly h: Stamp; readonly seen?: Stamp },
  { nowMs, sentAtMs, maxDriftMs }: PushTime,
  record: RecordState | undefined,
  top: Stamp | undefined,
): Stamp | undefined {
  const offMs = sentAtMs === undefined ? 0 : nowMs - sentAtMs
  const node = nodeOf(op.h)
  if (sentAtMs === undefined && msOf(op.h) > nowMs + UNKNOWN_CLOCK_MS) return undefined
  let own = Math.abs(offMs) > SAME_CLOCK_MS ? shiftStamp(op.h, offMs) : op.h
  const latestMs = nowMs + maxDriftMs
  if (msOf(own) > latestMs) own = cutOff(latestMs, node, top)
  for (const seen of seenBy(op.seen, node, record)) if (seen >= own) own = stampAfter(seen, node)
  return own
}

function cutOff(latestMs: number, node: string, top: Stamp | undefined): Stamp {
  const last = top !== undefined && msOf(top) <= latestMs ? top : undefined
  return last === undefined ? formatStamp({ ms: latestMs, counter: 0, node }) : nextStamp(last, latestMs, node)
}

/** What nobody can have seen is not believed. */
function* seenBy(seen: Stamp | undefined, node: string, record: RecordState | undefined): Iterable<Stamp> {
  if (record === undefined) return
  if (seen !== undefined && seen <= record.h) yield seen
  for (const stamp of [record.h, ...Object.values(record.registers).map(stampOf)]) {
    if (nodeOf(stamp) === node) yield stamp
  }
}
