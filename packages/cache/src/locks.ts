import type { MemoryLease } from './lease.ts'
import type { Ref } from './store.ts'

/** Who loads an entry. A node loads it once at a time for one stamp. */
interface Owner {
  readonly node: string
  readonly lease: MemoryLease
}

/** Load locks of one process, and who waits for them. */
export interface Locks {
  /** 'yours' if nobody holds it, or the holder's time is over, or what it loads is outdated already. */
  take(ref: Ref, by: Owner, lockMs: number, isOutdated: (held: MemoryLease) => boolean): 'yours' | 'held'
  /** Ends this load's lock. Answers who waited for it: nobody if it is not this load's any more. */
  release(ref: Ref, owner: Owner): readonly string[]
  /** Nothing if it is not this load's any more, or has ended. */
  extend(ref: Ref, owner: Owner, nowMs: number, lockMs: number): void
  /** Who waits, asked once. */
  waiting(ref: Ref): readonly string[]
}

interface Held extends Owner {
  endsMs: number
  readonly waiting: Set<string>
}

/** Locks that nobody ended are looked for when there are so many more than the last time. */
const SWEEP_STEP = 1_000

/** None held. */
export function createLocks(): Locks {
  const locks = new Map<string, Held>()
  let sweepAt = SWEEP_STEP

  function ownedBy(ref: Ref, { node, lease: { epoch, stamp } }: Owner): Held | undefined {
    const held = locks.get(nameOf(ref))
    const isOwn = held?.node === node && held.lease.epoch === epoch && held.lease.stamp === stamp
    return isOwn ? held : undefined
  }

  function sweep(nowMs: number): void {
    if (locks.size < sweepAt) return
    for (const [name, { endsMs }] of locks) if (endsMs <= nowMs) locks.delete(name)
    sweepAt = 2 * locks.size + SWEEP_STEP
  }

  return {
    take(ref, by, lockMs, isOutdated) {
      const name = nameOf(ref)
      const held = locks.get(name)
      const nowMs = by.lease.atMs
      if (held !== undefined && held.endsMs > nowMs && !isOutdated(held.lease)) {
        held.waiting.add(by.node)
        return 'held'
      }
      sweep(nowMs)
      locks.set(name, { ...by, endsMs: nowMs + lockMs, waiting: held?.waiting ?? new Set() })
      return 'yours'
    },
    release(ref, owner) {
      const held = ownedBy(ref, owner)
      if (held === undefined) return []
      locks.delete(nameOf(ref))
      return [...held.waiting]
    },
    extend(ref, owner, nowMs, lockMs) {
      const held = ownedBy(ref, owner)
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
