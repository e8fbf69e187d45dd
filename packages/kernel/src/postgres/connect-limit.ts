import { systemClock } from '../clock.ts'

/** How long a unit waits for a connection. */
export interface ConnectTimes {
  /** For connecting and the opening statements together. */
  readonly openMs: number
  /** For the queue in front of that. */
  readonly acquireMs: number
}

/** When the server behind a pool or a database last answered us, on the monotonic clock. */
const lastAnswerMs = new WeakMap<object, number>()
/** Servers that have left somebody without an answer, and have answered nobody since. */
const silent = new WeakSet<object>()

/** Notes a sign of life of the server behind `db`. */
export function answered(db: object): void {
  lastAnswerMs.set(db, systemClock.monotonic())
  silent.delete(db)
}

/** Notes that the server behind `db` has not answered in time on an open connection. */
export function unanswered(db: object): void {
  silent.add(db)
}

/** True when the last that is known of the server behind `db` is that it did not answer. */
export function isSilent(db: object): boolean {
  return silent.has(db)
}

/** A wait for a connection of `db`, from now on. */
export interface ConnectLimit {
  /** Rejects with the time waited, in ms. */
  readonly expired: Promise<never>
  /** What the opening statements may still take. */
  leftMs(): number
  cancel(): void
}

/**
 * To connect, the server has `openMs`. Queueing for a full pool is not its fault: that goes on up to `acquireMs` as
 * long as the server answers somebody, and ends `openMs` after its last sign of life.
 */
export function connectLimit(db: object, queued: boolean, { openMs, acquireMs }: ConnectTimes): ConnectLimit {
  const startMs = systemClock.monotonic()
  const { promise: expired, reject } = Promise.withResolvers<never>()
  expired.catch(() => {})
  let timer: { cancel(): void } | undefined
  const check = (): void => {
    const nowMs = systemClock.monotonic()
    const deadlineMs = queued
      ? Math.min(startMs + acquireMs, Math.max(startMs, lastAnswerMs.get(db) ?? 0) + openMs)
      : startMs + openMs
    if (deadlineMs > nowMs) timer = systemClock.timer(check, deadlineMs - nowMs, { ref: true })
    else reject(Math.round(nowMs - startMs))
  }
  check()
  return {
    expired,
    leftMs: () => Math.max(1, openMs - (queued ? 0 : systemClock.monotonic() - startMs)),
    cancel: () => timer?.cancel(),
  }
}
