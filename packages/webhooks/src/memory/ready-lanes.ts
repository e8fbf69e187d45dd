import { nextOf, type Lane, type ReadyLane } from './lane.ts'
import { createMinHeap, type MinHeap } from './min-heap.ts'

/** Lanes that may be claimed some time, by what a claim must allow: '' is everything else. */
export interface ReadyLanes {
  /** Gives a lane its place; all that changes a lane ends with it. */
  schedule(lane: Lane, nowMs: number): void
  /** The first lane of a class. */
  first(of: string): ReadyLane | undefined
  /** The first lane of these classes, if it is ready now. */
  firstOf(classes: readonly string[], nowMs: number): ReadyLane | undefined
}

const isBefore = (a: ReadyLane, b: ReadyLane): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** What a claim must allow to get one of this lane. */
const classOf = ({ row, isHandler, health }: Lane): string => (isHandler ? row.id : health.suspect ? 'suspect' : '')

export function createReadyLanes(): ReadyLanes {
  const classes = new Map<string, MinHeap<ReadyLane>>()
  let order = 0

  /** Places that lanes have left are gone. */
  function first(of: string): ReadyLane | undefined {
    const heap = classes.get(of)
    if (heap === undefined) return undefined
    for (;;) {
      const top = heap.peek()
      if (top === undefined || top.lane.place === top) return top
      heap.pop()
    }
  }

  return {
    first,
    schedule(lane, nowMs) {
      const next = nextOf(lane, nowMs)
      if (next === null) {
        lane.place = null
        return
      }
      const atMs = Math.max(next.atMs, lane.claimedMs)
      const of = classOf(lane)
      if (lane.place?.atMs === atMs && lane.place.of === of) return
      let heap = classes.get(of)
      if (heap === undefined) {
        heap = createMinHeap(isBefore)
        classes.set(of, heap)
      }
      lane.place = { lane, of, atMs, order: order++ }
      heap.push(lane.place)
    },
    firstOf(names, nowMs) {
      let best: ReadyLane | undefined
      for (const name of names) {
        const top = first(name)
        if (top === undefined || top.atMs > nowMs) continue
        if (best === undefined || isBefore(top, best)) best = top
      }
      return best
    },
  }
}
