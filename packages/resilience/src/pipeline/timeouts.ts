import type { Clock } from '@keelson/kernel'

/** Something that is woken once. It is a node of its list itself, so that to begin and to end a wait allocates nothing. */
export abstract class Sleeper {
  /** When it is due, on the monotonic clock: whole ms, which V8 keeps in the object itself. */
  dueMs = 0
  /** When its list passes it on: never after it is due. */
  passedOnMs = 0
  list: TimeList | undefined = undefined
  before: Sleeper | undefined = undefined
  after: Sleeper | undefined = undefined
  abstract wake(nowMs: number): void
}

/** Longer waits than the longest timer are passed on. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Wakes sleepers on time, with one timer for all of about the same length. A length falls into a class, eight to an
 * octave, and is never longer than it: whoever is not due yet when his class is over waits on in a shorter one. So
 * there are at most 240 lists, each in the order of its ends, and all steps are O(1) (Varghese and Lauck, 1987).
 */
export class Timeouts {
  readonly #clock: Clock
  readonly #lists: (TimeList | undefined)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `Infinity` is no wait at all. A sleeper waits for one thing at a time: an earlier wait ends. */
  begin(sleeper: Sleeper, dueMs: number, nowMs: number): void {
    if (sleeper.list !== undefined) sleeper.list.remove(sleeper)
    if (dueMs === Infinity) return
    sleeper.dueMs = Math.ceil(dueMs)
    const leftMs = Math.min(Math.max(0, Math.floor(dueMs - nowMs)), LONGEST_MS)
    const octave = leftMs < 8 ? 3 : 31 - Math.clz32(leftMs)
    const eighths = leftMs >>> (octave - 3)
    const place = octave * 8 + eighths
    let list = this.#lists[place]
    if (list === undefined) {
      list = new TimeList(this.#clock, this, eighths * 2 ** (octave - 3))
      this.#lists[place] = list
    }
    list.add(sleeper, nowMs)
  }

  /** No timer is left. */
  close(): void {
    for (const list of this.#lists) list?.close()
  }
}

/** Those of one class, in the order of their ends. */
class TimeList {
  readonly #clock: Clock
  readonly #timeouts: Timeouts
  readonly #lengthMs: number
  #first: Sleeper | undefined
  #last: Sleeper | undefined
  #timer: ReturnType<Clock['timer']> | undefined

  constructor(clock: Clock, timeouts: Timeouts, lengthMs: number) {
    this.#clock = clock
    this.#timeouts = timeouts
    this.#lengthMs = lengthMs
  }

  add(sleeper: Sleeper, nowMs: number): void {
    // What is shorter than a millisecond has no class below it.
    sleeper.passedOnMs = this.#lengthMs === 0 ? sleeper.dueMs : Math.floor(nowMs) + this.#lengthMs
    sleeper.list = this
    const last = this.#last
    this.#last = sleeper
    if (last !== undefined) {
      last.after = sleeper
      sleeper.before = last
      return
    }
    this.#first = sleeper
    // Somebody waits: from here on the timer keeps the process alive.
    if (this.#timer === undefined) this.#arm(sleeper.passedOnMs - nowMs)
    else this.#timer.ref?.(true)
  }

  remove(sleeper: Sleeper): void {
    const { before, after } = sleeper
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    sleeper.list = sleeper.before = sleeper.after = undefined
    // The timer is left to fire for those who come meanwhile: to stop it and begin another at each call costs more.
    if (this.#first === undefined) this.#timer?.ref?.(false)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(inMs: number): void {
    this.#timer = this.#clock.timer(this.#look, inMs, { ref: true })
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const nowMs = this.#clock.monotonic()
    // Those who come while others are woken wait for the next look.
    const last = this.#last
    for (let sleeper = this.#first; sleeper !== undefined; sleeper = this.#first) {
      if (sleeper.passedOnMs > nowMs) break
      this.remove(sleeper)
      if (sleeper.dueMs > nowMs) this.#timeouts.begin(sleeper, sleeper.dueMs, nowMs)
      else sleeper.wake(this.#clock.monotonic())
      if (sleeper === last) break
    }
    if (this.#first !== undefined && this.#timer === undefined) {
      this.#arm(Math.max(0, this.#first.passedOnMs - this.#clock.monotonic()))
    }
  }
}
