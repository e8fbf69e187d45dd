import type { GcraSpec } from '../store.ts'
import type { Algorithm, Counted } from './algorithm.ts'

/**
 * The instant at which all that was taken has flowed off (TAT), and the number of the last unit. Units flow off one
 * by one, `unitUs` each; a unit's number says how many came behind it, and so when it flows off itself: what has is
 * not given back. Numbers of a new queue begin with the time, which is more than any of an older one.
 */
export const gcra: Algorithm<GcraSpec> = {
  free: (spec, counted, nowUs) => Math.floor((capacityUs(spec) - backlogUs(spec, counted, nowUs)) / unitUs(spec)),

  waitUs(spec, counted, nowUs, units) {
    if (units > spec.burst) return Infinity
    return Math.max(0, backlogUs(spec, counted, nowUs) + units * unitUs(spec) - capacityUs(spec))
  },

  fullUs: backlogUs,

  take(spec, counted, nowUs, units) {
    const queuedUs = backlogUs(spec, counted, nowUs)
    const number = (queuedUs > 0 ? counted[1]! : nowUs) + units
    return { counted: [nowUs + queuedUs + units * unitUs(spec), number], token: String(number) }
  },

  refund(spec, counted, nowUs, token, units) {
    const [tatUs = 0, number = 0] = counted
    const lastFlowsUs = tatUs - (number - Number(token)) * unitUs(spec)
    const backUs = Math.max(0, Math.min(units * unitUs(spec), lastFlowsUs - nowUs))
    return [tatUs - backUs, number]
  },
}

/** What one unit takes to flow off. Rounded up: never faster than asked for. */
export function unitUs({ windowMs, limit }: GcraSpec): number {
  return Math.ceil((windowMs * 1_000) / limit)
}

function capacityUs(spec: GcraSpec): number {
  return spec.burst * unitUs(spec)
}

/** A full bucket at most, should the clock have gone back. */
function backlogUs(spec: GcraSpec, [tatUs = 0]: Counted, nowUs: number): number {
  return Math.min(capacityUs(spec), Math.max(0, tatUs - nowUs))
}
