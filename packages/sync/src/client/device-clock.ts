import type { Clock } from '@keelson/kernel/core'

/** What an answer of the server says about the device's clock. */
export interface Learned {
  /** The server is ahead by so much more than was known; 0: within what a request takes. */
  readonly byMs: number
  /** The stamps that it made are wrong by as much. Not so when the clock has only slept. */
  readonly areWrong: boolean
}

/** The wall clock once, elapsed time from then on: nobody who sets the device's clock moves it. */
export interface DeviceClock {
  /** Ms since 1970. */
  now(): number
  /** Elapsed time may stand still while a device sleeps: then only the server knows what time it is. */
  readonly mayHaveSlept: boolean
  /** @param serverMs what the server said, to a request that took `tookMs` */
  learn(serverMs: number, tookMs: number, offsetMs: number): Learned
}

/** Nearer than that is the network's time. */
const NOISE_MS = 2_000

export function createDeviceClock(clock: Pick<Clock, 'now' | 'monotonic'>): DeviceClock {
  const beganMs = clock.now() - clock.monotonic()
  let knownGapMs = 0
  const now = (): number => beganMs + clock.monotonic()
  /** The wall clock went on, or was set. */
  const gapMs = (): number => clock.now() - now() - knownGapMs
  return {
    now,
    get mayHaveSlept() {
      return gapMs() > NOISE_MS
    },
    learn(serverMs, tookMs, offsetMs) {
      const gap = gapMs()
      knownGapMs += gap
      const byMs = Math.round(serverMs - (now() + offsetMs - tookMs / 2))
      const noiseMs = NOISE_MS + tookMs / 2
      if (Math.abs(byMs) <= noiseMs) return { byMs: 0, areWrong: false }
      return { byMs, areWrong: Math.abs(byMs - gap) > noiseMs }
    },
  }
}
