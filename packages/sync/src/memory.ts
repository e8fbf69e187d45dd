import type { Clock } from '@keelson/kernel'
import { SyncError } from './error.ts'
import { change } from './memory/change.ts'
import { forget, ofSubject } from './memory/erasure.ts'
import { gc } from './memory/gc.ts'
import { checkMemoryOptions } from './memory/options.ts'
import { changed, pull } from './memory/pull.ts'
import { notePull, readForPush, writePush } from './memory/push.ts'
import { createState } from './memory/state.ts'
import { conflicts, inspect, openConflicts, trace } from './memory/status.ts'
import type { SyncStore } from './store.ts'

/** What `memoryStore()` takes. */
export interface MemoryStoreOptions {
  readonly clock?: Clock
}

/**
 * The store in this process: nothing survives it, and no other process sees it. It is the model of the others. Who writes
 * has it alone, a push for as long as its work takes: work that itself waits for a write of this store waits for ever.
 */
export function memoryStore(o: MemoryStoreOptions = {}): SyncStore {
  const state = createState(checkMemoryOptions(o).clock)
  let last: Promise<unknown> = Promise.resolve()

  /** One writer after the other. */
  function alone<T>(step: () => T | Promise<T>): Promise<T> {
    const mine = last.then(step)
    last = mine.catch(() => {})
    return mine
  }

  return {
    kind: 'memory',
    transactional: false,

    pull: async (q) => pull(state, q),
    async push(q, work, more) {
      refuseTx(more)
      return alone(async () => {
        const { writes, value } = await work({ state: readForPush(state, q), attempt: async (fn) => fn() })
        writePush(state, q, writes)
        return value
      })
    },
    async change(changes, node, more) {
      refuseTx(more)
      return alone(() => change(state, changes, node))
    },
    changed: async (since, scopes) => changed(state, since, scopes),

    client: async (client) => state.clients.get(client),
    pulled: async (client, principal) => notePull(state, client, principal),

    conflicts: async (q) => conflicts(state, q),
    conflict: async (id) => state.conflicts.get(id),
    openConflicts: async (client) => openConflicts(state, client),

    forget: async (q, node) => alone(() => forget(state, q, node)),
    ofSubject: async (scope, subject, after, limit) => ofSubject(state, scope, subject, after, limit),
    gc: async (retention) => alone(() => gc(state, retention)),
    rebase: async () => alone(() => ++state.era),

    trace: async (correlationId) => trace(state, correlationId),
    inspect: async () => inspect(state),
    health: async () => {},
    close: async () => {},
  }
}

function refuseTx(o: { readonly tx?: unknown } = {}): void {
  if (o.tx !== undefined) throw new SyncError('INPUT_INVALID', '"tx": a memory store knows no transactions')
}
