import { systemClock } from '@keelson/kernel'
import type { Files } from '@keelson/kernel/files'
import type { CursorClaim } from '../store.ts'
import { openStateFile } from './state-file.ts'

interface Cursor {
  readonly fence: number
  readonly at: number
  readonly state: string | null
}

type Cursors = Readonly<Record<string, Cursor>>

/** Of one process: a lease lives in memory, as long as the lock on the folder does. */
interface Lease {
  readonly owner: string
  readonly fence: number
  readonly endsMs: number
}

/** The cursors of one log. */
export interface CursorsOfLog {
  readonly value: Cursors
  claim(sink: string, owner: string, ttlMs: number): Promise<CursorClaim | null>
  advance(sink: string, fence: number, to: number, ttlMs: number, state?: string | null): Promise<boolean>
  release(sink: string, fence: number): void
}

export async function openCursors(files: Files, folder: string): Promise<CursorsOfLog> {
  const file = await openStateFile<Cursors>(files, folder, 'cursors', {})
  const leases = new Map<string, Lease>()

  const lengthen = (sink: string, owner: string, fence: number, ttlMs: number): void => {
    leases.set(sink, { owner, fence, endsMs: systemClock.monotonic() + ttlMs })
  }
  const leaseOf = (sink: string): Lease | undefined => {
    const lease = leases.get(sink)
    return lease !== undefined && lease.endsMs > systemClock.monotonic() ? lease : undefined
  }

  return {
    get value() {
      return file.value
    },
    async claim(sink, owner, ttlMs) {
      const held = leaseOf(sink)
      if (held !== undefined && held.owner !== owner) return null
      const { at, state, fence } = file.value[sink] ?? { at: 0, state: null, fence: 0 }
      // Ours before it is on disk: nobody else may come between.
      lengthen(sink, owner, fence + 1, ttlMs)
      await change(sink, (cursor) => ({ ...cursor, fence: Math.max(cursor.fence, fence + 1) }))
      return { fence: fence + 1, at, state }
    },
    async advance(sink, fence, to, ttlMs, state) {
      const cursor = file.value[sink]
      if (cursor?.fence !== fence) return false
      const owner = leases.get(sink)?.owner ?? ''
      lengthen(sink, owner, fence, ttlMs)
      if (to < cursor.at) return false
      if (to === cursor.at && state === undefined) return true
      let moved = false
      await change(sink, (last) => {
        moved = last.fence === fence && to >= last.at
        return moved ? { ...last, at: to, state: state === undefined ? last.state : state } : last
      })
      return moved
    },
    release(sink, fence) {
      if (leases.get(sink)?.fence === fence) leases.delete(sink)
    },
  }

  function change(sink: string, fn: (cursor: Cursor) => Cursor): Promise<void> {
    return file.update((cursors) => ({ ...cursors, [sink]: fn(cursors[sink] ?? { fence: 0, at: 0, state: null }) }))
  }
}
