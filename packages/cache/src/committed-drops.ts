import { context, traced, type Clock, type Logger, type StoreGuard } from '@keelson/kernel'
import type { Caches } from './caches.ts'
import { CacheError } from './error.ts'
import { createPaidRows } from './paid-rows.ts'
import { bumpsOf, createRelay } from './relay.ts'
import type { Bumped, DropLog } from './store.ts'
import { isImplicit } from './tag.ts'

/**
 * Drops that are rows of a log: committed with what made them necessary, applied to the shared tier by their author, by
 * a relay of any node, or by who must not read before that.
 */
export interface CommittedDrops {
  /** Applies all that are there, or those of one operation. Rejects with STORE_UNAVAILABLE. */
  settle(operation?: string): Promise<{ readonly applied: number }>
  /** Their author has applied these rows: they are deleted soon. */
  paid(ids: readonly string[]): void
  /** Deletes what was paid now. Never rejects. */
  flush(): Promise<unknown>
  /** Whether nothing of an operation is left. False while the log is away. */
  isApplied(operation: string): Promise<boolean>
  trace: Caches['trace']
  /** Undefined while the log is away. */
  backlog(): Promise<{ readonly rows: number; readonly oldestMs: number } | undefined>
  /** Age of the oldest row at the relay's last look, ms. */
  readonly oldestMs: number
  /** Relays from now on. */
  start(): void
  /** Resolves when no turn of the relay runs. */
  stop(): Promise<void>
  /** Relays until nothing is left or `untilMs` (monotonic). True when nothing is left. */
  relay(untilMs: number): Promise<boolean>
  close(): void
}

/** Rows that one step of `settle` applies: a long log is not held in memory. */
const SETTLE_ROWS = 1_000

export function createCommittedDrops(o: {
  /** Of the cache. */
  readonly name: string
  readonly log: DropLog
  /** In front of the log. */
  readonly guard: StoreGuard
  /** Applies it to the shared tier. Rejects with STORE_UNAVAILABLE. */
  readonly apply: (list: readonly Bumped[]) => Promise<unknown>
  readonly relayed: (rows: number) => void
  /** False while the shared tier is away. */
  readonly reachable: () => boolean
  readonly random: () => number
  readonly clock: Clock
  readonly logger: Logger
}): CommittedDrops {
  const { name, log, guard, apply, clock, logger } = o
  const relay = createRelay(o)
  // Of many callers, so with the deadline of none.
  const paidRows = createPaidRows(
    async (ids) => context.resume({}, () => guard.call(() => log.done(ids))),
    clock,
    logger,
  )

  async function settle(operation?: string): Promise<{ applied: number }> {
    const of = { limit: SETTLE_ROWS, ...(operation === undefined ? {} : { operation }) }
    let applied = 0
    for (;;) {
      const rows = await guard.call(() => log.pending(name, of)).catch(logAway)
      if (rows.length === 0) return { applied }
      await apply(bumpsOf(rows))
      applied += rows.length
      paidRows.add(rows.map(({ id }) => id))
      if (rows.length < SETTLE_ROWS) return { applied }
      if (!(await paidRows.flush())) logAway(new Error('it deletes nothing'))
    }
  }

  return {
    settle: (operation) =>
      traced(
        'cache:settle',
        () => ({ cache: name }),
        () => settle(operation),
      ),
    paid: paidRows.add,
    flush: paidRows.flush,
    async isApplied(operation) {
      const left = guard.call(async () => log.pending(name, { operation, limit: 1 }))
      return left.then(
        ({ length }) => length === 0,
        () => false,
      )
    },
    async trace(correlationId) {
      if (log.trace === undefined) return []
      const rows = await guard.call(async () => log.trace!(name, correlationId)).catch(logAway)
      return rows.map(({ at, scope, tag }) => ({
        at,
        kind: 'cache.drop',
        text: `${isImplicit(tag) ? 'a key or a prefix' : `tag '${tag}'`} of scope '${scope}': committed, not applied yet`,
      }))
    },
    backlog: async () => guard.call(async () => log.backlog(name)).catch(() => undefined),
    get oldestMs() {
      return relay.oldestMs
    },
    start: relay.start,
    stop: relay.stop,
    relay: relay.once,
    close: guard.close,
  }
}

function logAway(cause: Error): never {
  throw new CacheError('STORE_UNAVAILABLE', `the log of cache drops is away: ${cause.message}`, { cause })
}
