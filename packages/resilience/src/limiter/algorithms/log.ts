import type { WindowSpec } from '../store.ts'
import type { Algorithm, Counted } from './algorithm.ts'

/**
 * The instant of each unit: at most `limit` in any window, exactly. Units of one take share an instant that no other
 * take has; should the clock stand still or go back, later takes are later all the same.
 */
export const log: Algorithm<WindowSpec> = {
  free: (spec, counted, nowUs) => Math.max(0, spec.limit - living(spec, counted, nowUs).length),

  waitUs(spec, counted, nowUs, units) {
    if (units > spec.limit) return Infinity
    const alive = living(spec, counted, nowUs)
    const leaving = alive.length + units - spec.limit
    return leaving <= 0 ? 0 : alive[leaving - 1]! + windowUs(spec) - nowUs
  },

  fullUs(spec, counted, nowUs) {
    const newest = living(spec, counted, nowUs).at(-1)
    return newest === undefined ? 0 : newest + windowUs(spec) - nowUs
  },

  take(spec, counted, nowUs, units) {
    const atUs = Math.max(nowUs, (counted.at(-1) ?? 0) + 1)
    const added = Array.from({ length: units }, () => atUs)
    return { counted: [...living(spec, counted, nowUs), ...added], token: String(atUs) }
  },

  refund(_, counted, __, token, units) {
    const atUs = Number(token)
    let left = units
    return counted.filter((unitUs) => unitUs !== atUs || left-- <= 0)
  },
}

function windowUs({ windowMs }: WindowSpec): number {
  return windowMs * 1_000
}

/** Those that have not left the window, oldest first. */
function living(spec: WindowSpec, counted: Counted, nowUs: number): Counted {
  const leftUs = nowUs - windowUs(spec)
  return counted.filter((unitUs) => unitUs > leftUs)
}
