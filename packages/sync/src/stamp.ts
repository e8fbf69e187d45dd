/**
 * When and by whom: 9 digits of ms since 1970, 4 of a counter, both in base 36, and the node, such as
 * `0lq8zk3f2-0001-k3`. The order of their bytes is that of time: a hybrid logical clock (Kulkarni et al. 2014).
 */
export type Stamp = string

/** A stamp in its parts. */
export interface StampParts {
  readonly ms: number
  readonly counter: number
  readonly node: string
}

const STAMP = /^([0-9a-z]{9})-([0-9a-z]{4})-([0-9a-z]{1,12})$/
const BASE = 36
const MS_DIGITS = 9
const COUNTER_DIGITS = 4
const COUNTER_AT = MS_DIGITS + 1
const NODE_AT = COUNTER_AT + COUNTER_DIGITS + 1
/** A ms has so many stamps of a node; then the next one begins. */
const COUNTERS = BASE ** COUNTER_DIGITS
/** The last instant that a stamp can tell: in the year 5188. */
export const LAST_MS: number = BASE ** MS_DIGITS - 1

export const isStamp = (value: unknown): value is Stamp => typeof value === 'string' && STAMP.test(value)

/** Of a stamp. */
export function parseStamp(stamp: Stamp): StampParts {
  return { ms: msOf(stamp), counter: Number.parseInt(stamp.slice(COUNTER_AT, NODE_AT - 1), BASE), node: nodeOf(stamp) }
}

export const msOf = (stamp: Stamp): number => Number.parseInt(stamp.slice(0, MS_DIGITS), BASE)
export const nodeOf = (stamp: Stamp): string => stamp.slice(NODE_AT)

/** `ms` is cut to what a stamp can tell. */
export function formatStamp({ ms, counter, node }: StampParts): Stamp {
  return `${digits(Math.min(Math.max(0, Math.floor(ms)), LAST_MS), MS_DIGITS)}-${digits(counter, COUNTER_DIGITS)}-${node}`
}

/** The first stamp of a node that is not before `nowMs` and comes after `last`. */
export function nextStamp(last: Stamp | undefined, nowMs: number, node: string): Stamp {
  const first = formatStamp({ ms: nowMs, counter: 0, node })
  return last === undefined || first > last ? first : stampAfter(last, node)
}

/** The first stamp of a node after another's: what saw it wins over it. */
export function stampAfter(last: Stamp, node: string): Stamp {
  const { ms, counter } = parseStamp(last)
  if (counter + 1 < COUNTERS) return formatStamp({ ms, counter: counter + 1, node })
  return formatStamp({ ms: ms + 1, counter: 0, node })
}

/** The same on a clock that is `byMs` ahead of it. */
export function shiftStamp(stamp: Stamp, byMs: number): Stamp {
  const { ms, ...rest } = parseStamp(stamp)
  return formatStamp({ ms: ms + byMs, ...rest })
}

const digits = (n: number, count: number): string => n.toString(BASE).padStart(count, '0')
