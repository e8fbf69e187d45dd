import type { WindowSpec } from '../store.ts'
import type { Algorithm, Counted } from './algorithm.ts'

/** Buckets of one window. */
const BUCKETS = 60

/**
 * Pairs of a bucket's number (its begin in bucket lengths) and its units, oldest first. A bucket counts until its last
 * instant has left the window, so never more than `limit` pass in any window, and a unit leaves at most one bucket late.
 */
export const buckets: Algorithm<WindowSpec> = {
  free: (spec, counted, nowUs) => Math.max(0, spec.limit - total(living(spec, counted, nowUs))),

  waitUs(spec, counted, nowUs, units) {
    if (units > spec.limit) return Infinity
    const alive = living(spec, counted, nowUs)
    let leaving = total(alive) + units - spec.limit
    if (leaving <= 0) return 0
    let at = 0
    while ((leaving -= alive[at + 1]!) > 0) at += 2
    return leavesUs(spec, alive[at]!) - nowUs
  },

  fullUs(spec, counted, nowUs) {
    const newest = living(spec, counted, nowUs).at(-2)
    return newest === undefined ? 0 : leavesUs(spec, newest) - nowUs
  },

  take(spec, counted, nowUs, units) {
    const alive = living(spec, counted, nowUs)
    const bucket = current(spec, counted, nowUs)
    const [before, held] = alive.at(-2) === bucket ? [alive.slice(0, -2), alive.at(-1)!] : [alive, 0]
    return { counted: [...before, bucket, held + units], token: String(bucket) }
  },

  refund(_, counted, __, token, units) {
    const bucket = Number(token)
    return counted.flatMap((number, i) => {
      if (i % 2 === 1) return []
      const held = number === bucket ? counted[i + 1]! - units : counted[i + 1]!
      return held > 0 ? [number, held] : []
    })
  },
}

function lengthUs({ windowMs }: WindowSpec): number {
  return Math.ceil((windowMs * 1_000) / BUCKETS)
}

/** Not before the newest, should the clock have gone back. */
function current(spec: WindowSpec, counted: Counted, nowUs: number): number {
  return Math.max(Math.floor(nowUs / lengthUs(spec)), counted.at(-2) ?? 0)
}

function leavesUs(spec: WindowSpec, bucket: number): number {
  return (bucket + BUCKETS + 1) * lengthUs(spec)
}

function living(spec: WindowSpec, counted: Counted, nowUs: number): Counted {
  const oldest = current(spec, counted, nowUs) - BUCKETS
  const first = counted.findIndex((number, i) => i % 2 === 0 && number >= oldest)
  return first === -1 ? [] : counted.slice(first)
}

function total(pairs: Counted): number {
  let units = 0
  for (let i = 1; i < pairs.length; i += 2) units += pairs[i]!
  return units
}
