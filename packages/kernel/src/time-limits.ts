import type { Clock } from './clock.ts'

/** Limits of one length, rarely reached: they share one timer, so that to begin and to end one costs next to nothing. */
export interface TimeLimits {
  /** Calls `reached` once the time is over; never after `cancel`. */
  begin(reached: () => void): { cancel(): void }
}

/** All of `limitMs`. */
export function createTimeLimits(clock: Clock, limitMs: number): TimeLimits {
  // A list, in the order of their ends. The tables that a Set outgrows keep what they held: with those that V8 has
  // once taken for old, everything behind a call would live as long.
  let first: Limit | undefined
  let last: Limit | undefined
  let timer: ReturnType<Clock['timer']> | undefined
  let isLeaving = false

  /** Somebody waits: as long as there is a limit the process lives. */
  function arm(inMs: number): void {
    // Who was told that the time is over may have begun another.
    timer?.cancel()
    timer = clock.timer(look, inMs, { ref: true })
  }

  /** It is not cancelled with the limit that it was armed for: the next look is for those that run then. */
  function look(): void {
    timer = undefined
    while (first !== undefined) {
      const leftMs = first.endsMs - clock.monotonic()
      if (leftMs > 0) return arm(leftMs)
      const { reached } = first
      remove(first)
      reached()
    }
  }

  function remove(limit: Limit): void {
    const { before, after } = limit
    if (before === undefined && first !== limit) return
    if (before === undefined) first = after
    else before.after = after
    if (after === undefined) last = before
    else after.before = before
    limit.before = limit.after = undefined
    if (first === undefined) leave()
  }

  /** Nobody waits. Said when the event loop turns: where one call follows the other, each would pay for it twice. */
  function leave(): void {
    if (isLeaving || timer?.ref === undefined) return
    isLeaving = true
    setImmediate(() => {
      isLeaving = false
      if (first === undefined) timer?.ref?.(false)
    })
  }

  return {
    begin(reached) {
      const limit: Limit = { endsMs: clock.monotonic() + limitMs, reached, before: last, after: undefined }
      if (last === undefined) first = limit
      else last.after = limit
      last = limit
      if (timer === undefined) arm(limitMs)
      else if (first === limit && !isLeaving) timer.ref?.(true)
      return { cancel: () => remove(limit) }
    },
  }
}

interface Limit {
  readonly endsMs: number
  readonly reached: () => void
  before: Limit | undefined
  after: Limit | undefined
}
