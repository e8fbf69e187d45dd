import { isKeelsonError, traced, type Clock, type StoreGuard, type Tx } from '@keelson/kernel'
import type { GuardedStore } from '@keelson/kernel/guarded-store'
import { createAppender } from './appender.ts'
import { AuditError } from './error.ts'
import type { Gaps } from './gaps.ts'
import type { AuditMetrics } from './metrics.ts'
import type { AuditStore, Durability, Row } from './store.ts'

/** Where entries become durable: in the store, and in the spool while that is away. */
export interface Journal {
  append(row: Row, o?: { readonly tx?: Tx; readonly required?: boolean }): Promise<Accepted>
  /** Tells of a loss that no append has told of. False: there is none, or nobody takes it. */
  tellGap(): Promise<boolean>
  /** Moves entries of the spool to the store. True: there may be more. */
  drainSpool(): Promise<boolean>
  /** How many entries the spool has. */
  waiting(): Promise<number>
  /** Runs `fn` while nothing is moved out of the spool. */
  withoutDrain<T>(fn: () => Promise<T>): Promise<T>
  /** Resolves when all that was under way is accepted, or is not. */
  settled(): Promise<void>
}

/** How a row was accepted. */
interface Accepted {
  readonly durability: Durability
  readonly spooled: boolean
}

/** What a journal works with. */
export interface JournalParts {
  readonly log: string
  readonly store: AuditStore
  readonly guarded: GuardedStore
  readonly spool: AuditStore | undefined
  /** Of one append to the store. */
  readonly timeoutMs: number
  readonly gaps: Gaps
  readonly metrics: AuditMetrics
  readonly clock: Clock
}

const DRAIN_STEP = 1_000
/** Of a batch, unless the spool says so. */
const SPOOL_MS = 5_000

export function createJournal(o: JournalParts): Journal {
  const { log, store, guarded, spool, gaps, metrics, clock } = o

  /** With the entry that tells of a loss in front. */
  async function appendTo(to: AuditStore, call: GuardedStore['ask'], rows: readonly Row[]): Promise<void> {
    const gap = gaps.take()
    const all = gap === undefined ? rows : [gap.row, ...rows]
    const sinceMs = clock.monotonic()
    try {
      await traced(
        'audit:append',
        () => ({ store: to.kind, entries: all.length }),
        () => call(() => to.append(log, all)),
      )
    } catch (error) {
      gap?.owed()
      throw error
    }
    gap?.told()
    metrics.appendSeconds.observe((clock.monotonic() - sinceMs) / 1_000)
  }

  const underWay = new Set<Promise<unknown>>()
  let turn: Promise<unknown> = Promise.resolve()

  const toStore = createAppender(async (rows) => appendTo(store, guarded.ask, rows), { timeoutMs: o.timeoutMs, clock })
  const toSpool =
    spool === undefined
      ? undefined
      : createAppender(async (rows) => appendTo(spool, async (fn) => fn(), rows), {
          timeoutMs: spool.timeoutMs ?? SPOOL_MS,
          clock,
        })

  async function appendRow(row: Row, required: boolean): Promise<Accepted> {
    try {
      await toStore.append(row)
      return { durability: store.durability, spooled: false }
    } catch (error) {
      if (toSpool === undefined || required || !isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
      await toSpool.append(row)
      return { durability: spool!.durability, spooled: true }
    }
  }

  /** An entry that the store will never take must not hold up those behind it: it is told as a loss. */
  async function moveAll(rows: readonly Row[]): Promise<void> {
    try {
      await guarded.work(() => store.append(log, rows))
    } catch (error) {
      if (!isKeelsonError(error, 'ENTRY_INVALID')) throw error
      if (rows.length === 1) return gaps.lost('ENTRY_INVALID', rows[0]!.id)
      for (const row of rows) await moveAll([row])
    }
  }

  return {
    async append(row, { tx, required = false } = {}) {
      if (tx !== undefined) {
        if (!store.transactional) {
          throw new AuditError('STORE_NOT_TRANSACTIONAL', `record: the ${store.kind} store knows no transactions`)
        }
        // Nothing of ours stands between the caller and its connection.
        await store.append(log, [row], tx)
        metrics.recorded.inc({ durability: store.durability })
        return { durability: store.durability, spooled: false }
      }
      const appended = appendRow(row, required)
      underWay.add(appended)
      try {
        const accepted = await appended
        metrics.recorded.inc({ durability: accepted.durability })
        return accepted
      } catch (error) {
        if (isKeelsonError(error, 'STORE_FULL')) gaps.lost('STORE_FULL', row.id)
        throw error
      } finally {
        underWay.delete(appended)
      }
    },

    async tellGap() {
      if (!gaps.isOwed) return false
      await appendTo(store, guarded.ask, [])
      return true
    },

    async drainSpool() {
      if (spool?.drain === undefined || isOpen(guarded.guard)) return false
      const { drain } = spool
      return inTurn(async () => (await drain(log, DRAIN_STEP, moveAll)) === DRAIN_STEP)
    },
    waiting: async () => (await spool?.waiting?.(log))?.entries ?? 0,
    withoutDrain: inTurn,

    async settled() {
      // Those that came meanwhile are not waited for: there may be no end of them.
      await Promise.allSettled(underWay)
    },
  }

  function inTurn<T>(fn: () => Promise<T>): Promise<T> {
    const mine = turn.then(fn)
    turn = mine.catch(() => {})
    return mine
  }
}

const isOpen = (guard: StoreGuard): boolean => guard.state === 'open'
