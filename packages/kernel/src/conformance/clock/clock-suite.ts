import type { Clock } from '../../clock.ts'
import type { Suite } from '../suite.ts'

/** A clock under test. */
export interface ClockSubject {
  readonly clock: Clock
  /** How time passes for it; default: really wait. */
  elapse?(byMs: number): Promise<void>
}

/** Over 2^31-1 ms Node's own timers fire at once. */
const LONG_MS = 30 * 86_400_000

/** Longer than a case may take, and no longer: a sleep that does not hear its signal keeps its process alive. */
const HEARD_MS = 40_000

/** What a {@link Clock} promises. That a timer keeps no process alive only another process can tell. */
export const clockSuite: Suite<ClockSubject> = {
  name: 'clock',
  of: 'clock',
  cases: [
    {
      name: 'elapsed time never goes back, and passes',
      async run(subject, { ok }) {
        const readings = Array.from({ length: 1_000 }, () => subject.clock.monotonic())
        ok(readings.every((reading, i) => i === 0 || reading >= readings[i - 1]!))
        await pass(subject, 20)
        const passedMs = subject.clock.monotonic() - readings[0]!
        ok(passedMs >= 20, `20 ms were ${passedMs}`)
      },
    },
    {
      name: 'the wall clock counts ms since 1970, and passes',
      async run(subject, { ok }) {
        const before = subject.clock.now()
        ok(before > Date.UTC(2020, 0), `${before} is long ago`)
        ok(before < Date.UTC(2200, 0), `${before} is far away`)
        await pass(subject, 20)
        ok(subject.clock.now() > before)
      },
    },
    {
      name: 'a timer fires once, not before its time and not within the call',
      async run(subject, { equal, ok }) {
        const { clock } = subject
        // Again and again: a machine that stands still for as long hides an early timer.
        for (let round = 0; round < 3; round++) {
          const fired: number[] = []
          const startMs = clock.monotonic()
          clock.timer(() => fired.push(clock.monotonic() - startMs), 100)
          clock.timer(() => {}, 0)
          equal(fired, [])
          await until(subject, () => fired.length > 0)
          // Timers round to whole ms.
          ok(fired[0]! >= 99, `100 ms were ${fired[0]}`)
          await pass(subject, 30)
          equal(fired.length, 1)
        }
      },
    },
    {
      name: 'a timer of no or less than no time fires, but not within the call',
      async run(subject, { equal }) {
        let fired = 0
        for (const delayMs of [0, -5, 0.2]) subject.clock.timer(() => fired++, delayMs)
        equal(fired, 0)
        await until(subject, () => fired === 3)
      },
    },
    {
      name: 'timers fire by their time, whatever the order they were made in',
      async run(subject, { equal }) {
        const fired: number[] = []
        for (const delayMs of [60, 5, 30]) subject.clock.timer(() => fired.push(delayMs), delayMs)
        await until(subject, () => fired.length === 3)
        equal(fired, [5, 30, 60])
      },
    },
    {
      name: 'a cancelled timer does not fire; to cancel again, or afterwards, is harmless',
      async run(subject, { equal }) {
        let fired = 0
        const timer = subject.clock.timer(() => fired++, 5)
        const other = subject.clock.timer(() => fired++, 5)
        timer.cancel()
        timer.cancel()
        await until(subject, () => fired > 0)
        await pass(subject, 20)
        other.cancel()
        equal(fired, 1)
      },
    },
    {
      name: 'a timer of a month does not fire now',
      async run(subject, { equal }) {
        let fired = 0
        const timers = [LONG_MS, 2 ** 31].map((delayMs) => subject.clock.timer(() => fired++, delayMs))
        await pass(subject, 20)
        for (const timer of timers) timer.cancel()
        equal(fired, 0)
      },
    },
    {
      name: 'sleep ends after its time',
      async run(subject, { equal, ok }) {
        const startMs = subject.clock.monotonic()
        let sleptMs: number | undefined
        void subject.clock.sleep(10).then((value: unknown) => {
          equal(value, undefined)
          sleptMs = subject.clock.monotonic() - startMs
        })
        await until(subject, () => sleptMs !== undefined)
        ok(sleptMs! >= 9, `10 ms were ${sleptMs}`)
      },
    },
    {
      name: 'sleep rejects with the reason of its signal: before, meanwhile, and not afterwards',
      async run(subject, { ok }) {
        const reason = new Error('enough')
        const rejects = async (asleep: Promise<void>): Promise<void> => {
          const found: unknown = await asleep.then(
            () => 'slept',
            (error: unknown) => error,
          )
          ok(found === reason, `expected the reason, got ${String(found)}`)
        }
        await rejects(subject.clock.sleep(HEARD_MS, AbortSignal.abort(reason)))
        const meanwhile = new AbortController()
        const asleep = rejects(subject.clock.sleep(HEARD_MS, meanwhile.signal))
        meanwhile.abort(reason)
        await asleep
        const afterwards = new AbortController()
        const slept = subject.clock.sleep(5, afterwards.signal)
        await pass(subject, 10)
        await slept
        afterwards.abort(reason)
      },
    },
  ],
}

async function pass({ clock, elapse }: ClockSubject, byMs: number): Promise<void> {
  if (elapse !== undefined) return elapse(byMs)
  const endMs = clock.monotonic() + byMs
  for (let looks = 0; clock.monotonic() < endMs && looks < 10_000; looks++) await turn()
}

/** In steps: a machine may stand still for longer than any limit. */
async function until(subject: ClockSubject, holds: () => boolean): Promise<void> {
  for (let steps = 0; !holds() && steps < 300; steps++) await pass(subject, 2)
  if (!holds()) throw new Error('what was to come in its time did not come')
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}
