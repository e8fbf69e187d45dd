import type { CalendarSpec, WindowSpec } from '../store.ts'
import type { Algorithm, Counted } from './algorithm.ts'

/** Begin and end in us. */
type Period = readonly [beginUs: number, endUs: number]

/** The begin of a period in us and its units, for periods however they are found. */
function counting<S extends WindowSpec | CalendarSpec>(periodOf: (spec: S, nowUs: number) => Period): Algorithm<S> {
  /** A period that has yet to begin was counted before the clock went back: it counts on. */
  const held = (spec: S, [beginUs = -1, units = 0]: Counted, nowUs: number): number =>
    beginUs >= periodOf(spec, nowUs)[0] ? units : 0
  const leftUs = (spec: S, nowUs: number): number => periodOf(spec, nowUs)[1] - nowUs

  const algorithm: Algorithm<S> = {
    free: (spec, counted, nowUs) => Math.max(0, spec.limit - held(spec, counted, nowUs)),
    waitUs(spec, counted, nowUs, units) {
      if (units > spec.limit) return Infinity
      return units <= algorithm.free(spec, counted, nowUs) ? 0 : leftUs(spec, nowUs)
    },
    fullUs: (spec, counted, nowUs) => (held(spec, counted, nowUs) > 0 ? leftUs(spec, nowUs) : 0),
    take(spec, counted, nowUs, units) {
      const beginUs = Math.max(counted[0] ?? 0, periodOf(spec, nowUs)[0])
      return { counted: [beginUs, held(spec, counted, nowUs) + units], token: String(beginUs) }
    },
    refund(_, counted, __, token, units) {
      const [beginUs = 0, held = 0] = counted
      return beginUs === Number(token) ? [beginUs, Math.max(0, held - units)] : counted
    },
  }
  return algorithm
}

/** Windows that begin at multiples of their length. */
export const fixed: Algorithm<WindowSpec> = counting(({ windowMs }, nowUs) => {
  const lengthUs = windowMs * 1_000
  const beginUs = Math.floor(nowUs / lengthUs) * lengthUs
  return [beginUs, beginUs + lengthUs]
})

/** The period that the clock is in; see `isElsewhen`. */
export const calendar: Algorithm<CalendarSpec> = counting(({ bounds }, nowUs) => {
  const next = nowUs < bounds[1] * 1_000 ? 1 : nowUs < bounds[2] * 1_000 ? 2 : 3
  return [bounds[next - 1]! * 1_000, bounds[next] * 1_000]
})

/** True when the clock is in none of a calendar's three periods. */
export function isElsewhen({ bounds }: CalendarSpec, nowUs: number): boolean {
  return nowUs < bounds[0] * 1_000 || nowUs >= bounds[3] * 1_000
}
