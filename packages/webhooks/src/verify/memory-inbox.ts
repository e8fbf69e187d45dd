import { checkOptions, ms, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { Inbox } from './inbox.ts'

const SPEC = {
  retain: opt.duration('3d'),
  max: opt.integer(100_000, { min: 1 }),
  clock: opt.port<Clock>(['monotonic'], systemClock),
}

/** While the first one works, ms. */
const BUSY_MS = 1_000

/**
 * An inbox of one process, which ends with it. Keys are remembered for `retain` (3 d) after their work; with `max`
 * (100,000) of them the oldest are forgotten first, and with as many at work a new one is busy.
 * @throws WebhookError OPTION_INVALID
 */
export function memoryInbox(
  o: { readonly retain?: Duration; readonly max?: number; readonly clock?: Clock } = {},
): Inbox {
  const { retain, max, clock } = checkOptions('memoryInbox', o, SPEC, optionFailure)
  const working = new Set<string>()
  /** When each key ends; the one that was done first stands first. */
  const done = new Map<string, number>()

  function makeRoom(): void {
    const nowMs = clock.monotonic()
    for (const [key, endsMs] of done) if (endsMs <= nowMs) done.delete(key)
    // A part of them at once: this walk over all is then paid for by many.
    const goal = Math.max(0, max - working.size - Math.ceil(max / 100))
    for (const key of done.keys()) {
      if (done.size <= goal) break
      done.delete(key)
    }
  }

  return {
    async consume(call, work) {
      const key = JSON.stringify([call.scope, call.op, call.key])
      const retainMs = call.retain === undefined ? retain : ms(call.retain, 'retain')
      if (working.has(key)) return { busy: BUSY_MS }
      const endsMs = done.get(key)
      if (endsMs !== undefined && endsMs > clock.monotonic()) return 'duplicate'
      if (working.size >= max) return { busy: BUSY_MS }
      done.delete(key)
      if (working.size + done.size >= max) makeRoom()
      working.add(key)
      try {
        await work()
        done.set(key, clock.monotonic() + retainMs)
        return 'processed'
      } finally {
        working.delete(key)
      }
    },
  }
}
