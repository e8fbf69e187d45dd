import type { Clock } from '@keelson/kernel'
import { append, createLinkedList, remove, valuesOf, type Link } from './linked-list.ts'

/** An attempt that holds a slot. */
export interface Slot {
  readonly beganMs: number
  slow: boolean
  freed: boolean
  /** Its place among the fast or the slow ones. */
  link?: Link<Slot> | undefined
}

/** The attempts of this process: few fast ones, and many that are slow. */
export interface Slots<S extends Slot> {
  /** How many more may begin. */
  free(): number
  /** How many more slow ones there may be. */
  freeSlow(): number
  readonly fast: number
  readonly slow: number
  /** In the order in which they began. */
  all(): readonly S[]
  /** One that is `slow` begins as such. */
  take(slot: S): void
  give(slot: S): void
}

/** What {@link createSlots} takes; all are required. */
export interface SlotsOptions<S> {
  readonly concurrency: number
  readonly slowConcurrency: number
  readonly slowAfterMs: number
  /** These were fast until now. */
  becameSlow(slots: readonly S[]): void
  readonly clock: Clock
}

/** Slots with one timer for all of them: they grow old in the order in which they began. */
export function createSlots<S extends Slot>(o: SlotsOptions<S>): Slots<S> {
  const { concurrency, slowConcurrency, slowAfterMs, becameSlow, clock } = o
  const young = createLinkedList<Slot>()
  const old = createLinkedList<Slot>()
  let fast = 0
  let slow = 0
  let timer: { cancel(): void } | undefined

  function look(): void {
    timer = undefined
    const nowMs = clock.monotonic()
    const aged: S[] = []
    for (let { first } = young; first !== undefined; first = young.first) {
      const slot = first.value as S
      if (nowMs - slot.beganMs < slowAfterMs || slow >= slowConcurrency) break
      leave(slot)
      slot.slow = true
      enter(slot)
      aged.push(slot)
    }
    if (aged.length > 0) becameSlow(aged)
    watch()
  }

  function watch(): void {
    // Without room the oldest stays where it is until a slow one ends.
    if (timer !== undefined || young.first === undefined || slow >= slowConcurrency) return
    const { beganMs } = young.first.value
    timer = clock.timer(look, Math.max(1, slowAfterMs - (clock.monotonic() - beganMs)))
  }

  function enter(slot: S): void {
    slot.link = append(slot.slow ? old : young, slot)
    if (slot.slow) slow++
    else fast++
  }

  function leave(slot: S): void {
    remove(slot.link!)
    if (slot.slow) slow--
    else fast--
  }

  return {
    free: () => concurrency - fast,
    freeSlow: () => slowConcurrency - slow,
    get fast() {
      return fast
    },
    get slow() {
      return slow
    },
    all: () => ([...valuesOf(old), ...valuesOf(young)] as S[]).toSorted((a, b) => a.beganMs - b.beganMs),
    take(slot) {
      enter(slot)
      watch()
    },
    give(slot) {
      if (slot.freed) return
      slot.freed = true
      leave(slot)
      if (fast + slow === 0) {
        timer?.cancel()
        timer = undefined
      } else watch()
    },
  }
}
