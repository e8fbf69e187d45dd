import type { GuardedStore } from '@keelson/kernel/guarded-store'
import { SyncError } from './error.ts'
import type { SyncStore } from './store.ts'

/** What the application does in a push, and what it rejected with. */
interface Turn {
  readonly ended: Promise<{ readonly error?: unknown }>
  readonly next: Promise<Turn>
}

/**
 * A push in turns. What the store does has the limits of its guard: it reads and locks, then it writes and commits. What
 * the application does between is not the store's time, and what it rejects with says nothing of the store.
 */
export function createGuardedPush(store: SyncStore, guarded: GuardedStore): SyncStore['push'] {
  return async (q, work, o) => {
    let isOver = false
    let { promise: next, resolve: take } = Promise.withResolvers<Turn>()
    let refused: { readonly error?: unknown } = {}
    const whole = store.push(
      q,
      (pushing) => {
        // Its caller was told no.
        if (isOver) throw new SyncError('STORE_UNAVAILABLE', 'push: the store was away for too long')
        const worked = work(pushing)
        const ended = worked.then(
          () => ({}),
          (error: unknown) => (refused = { error }),
        )
        const after = Promise.withResolvers<Turn>()
        take({ ended, next: after.promise })
        take = after.resolve
        return worked
      },
      o,
    )
    const done = whole.then(
      () => undefined,
      (error: unknown) => {
        if (!('error' in refused) || refused.error !== error) throw error
      },
    )
    done.catch(() => {})
    try {
      for (;;) {
        const turn = await guarded.work(() => Promise.race([next, done]))
        if (turn === undefined) return await whole
        await Promise.race([turn.ended, done])
        next = turn.next
      }
    } finally {
      isOver = true
    }
  }
}
