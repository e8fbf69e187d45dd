import { systemClock, type Clock } from '@keelson/kernel'

/** How far the server's clock may be ahead of what is expected: a call may be under way so long. */
const SLACK_MS = 250
const US_PER_MS = 1_000

/** What a node knows of the server's clock, so that a script can tell that it was set forward. */
export interface ServerTime {
  /** The latest that it can be now, in us; '0' where nothing is known. */
  latest(): string
  /** Takes down the time of an answer to what was sent at `sentMs`. */
  note(us: number, sentMs: number): void
  /** For `note`. */
  now(): number
}

export function createServerTime(clock: Clock = systemClock): ServerTime {
  let known: { readonly us: number; readonly sentMs: number } | undefined
  return {
    latest: () =>
      known === undefined
        ? '0'
        : String(Math.ceil(known.us + (clock.monotonic() - known.sentMs + SLACK_MS) * US_PER_MS)),
    note: (us, sentMs) => void (known = { us, sentMs }),
    now: () => clock.monotonic(),
  }
}
