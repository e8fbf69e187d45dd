import type { Ref } from './store.ts'

/** Who loads an entry, until when. */
export interface Lock {
  readonly node: string
  /** Of this very load. */
  readonly lease: string
  readonly endsMs: number
}

/** Load locks of one process, and who waits for them. */
export interface Locks {
  /** 'yours' if nobody holds it, or the holder's time is over, or what it loads is outdated already. */
  take(ref: Ref, lock: Lock, nowMs: number, isOutdated: (lease: string) => boolean): 'yours' | 'held'
  /** Ends this load's lock. Answers who waited for it: nobody if it is not this load's any more. */
  release(ref: Ref, node: string, lease: string): readonly string[]
  extend(ref: Ref, node: string, lease: string, nowMs: number, lockMs: number): void
  /** Who waits, asked once. */
  waiting(ref: Ref): readonly string[]
}

interface Held extends Lock {
  endsMs: number
  readonly waiting: Set<string>
}

/** Locks that nobody ended are looked for when there are so many more than the last time. */
const SWEEP_STEP = 1_000

/** None held. */
export function createLocks(): Locks {
  const locks = new Map<string, Held>()
  let sweepAt = SWEEP_STEP

  function ownedBy(ref: Ref, node: string, lease: string): Held | undefined {
    const held = locks.get(nameOf(ref))
    return held?.node === node && held.lease === lease ? held : undefined
  }

  function sweep(nowMs: number): void {
    if (locks.size < sweepAt) return
    for (const [name, { endsMs }] of locks) if (endsMs <= nowMs) locks.delete(name)
    sweepAt = 2 * locks.size + SWEEP_STEP
  }

  return {
    take(ref, lock, nowMs, isOutdated) {
      const name = nameOf(ref)
      const held = locks.get(name)
      if (held !== undefined && held.endsMs > nowMs && !isOutdated(held.lease)) {
        held.waiting.add(lock.node)
        return 'held'
      }
      sweep(nowMs)
      locks.set(name, { ...lock, waiting: held?.waiting ?? new Set() })
      return 'yours'
    },
    release(ref, node, lease) {
      const held = ownedBy(ref, node, lease)
      if (held === undefined) return []
      locks.delete(nameOf(ref))
      return [...held.waiting]
    },
    extend(ref, node, lease, nowMs, lockMs) {
      const held = ownedBy(ref, node, lease)
      if (held !== undefined && held.endsMs > nowMs) held.endsMs = nowMs + lockMs
    },
    waiting(ref) {
      const held = locks.get(nameOf(ref))
      const waiting = [...(held?.waiting ?? [])]
      held?.waiting.clear()
      return waiting
    },
  }
}

/** No scope has a control character. */
function nameOf({ scope, key }: Ref): string {
  return `${scope}\0${key}`
}
