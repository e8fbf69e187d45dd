import type { Clock, Database, Tx } from '@keelson/kernel'
import type { DropLog, DropRow } from '../store.ts'
import type { DropLogUnderTest } from './drop-log-under-test.ts'

/** A row of the log of steps. */
interface Kept extends DropRow {
  readonly atMs: number
  locked: boolean
}

/** A log in memory, with a database that knows nothing else, step by step: replace one, and it is broken in that way. */
export interface LogSteps {
  nowMs(clock: Clock): number
  /** What a statement inserts. */
  inserted(rows: readonly DropRow[]): readonly DropRow[]
  /** When: 'commit' or at once. */
  insertsAtOnce: boolean
  keepsRolledBack: boolean
  ofName(row: DropRow, name: string): boolean
  isPending(row: Kept, operation: string | undefined): boolean
  limited<T>(rows: readonly T[], limit: number | undefined, operation: string | undefined): readonly T[]
  mayClaim(row: Kept, nowMs: number, olderThanMs: number): boolean
  claimed<T>(rows: readonly T[], limit: number): readonly T[]
  locks: boolean
  /** Whether rows go before, after, or never. */
  deletes: 'after' | 'before' | 'never'
  onRejected: 'keep' | 'delete' | 'keep locked'
  rethrows: boolean
  appliesNothing: boolean
  count(rows: number): number
  isDone(id: string, ids: readonly string[], row: Kept): boolean
  isTraced(row: Kept, correlationId: string): boolean
  tracedAt(nowMs: number): number
  backlog(rows: readonly Kept[], nowMs: number): { rows: number; oldestMs: number }
}

/** Each step as it should be. */
export const goodLogSteps: LogSteps = {
  nowMs: (clock) => clock.monotonic(),
  inserted: (rows) => rows,
  insertsAtOnce: false,
  keepsRolledBack: false,
  ofName: (row, name) => row.name === name,
  isPending: (row, operation) => operation === undefined || row.operation === operation,
  limited: (rows, limit = rows.length) => rows.slice(0, limit),
  mayClaim: (row, nowMs, olderThanMs) => !row.locked && nowMs - row.atMs >= olderThanMs,
  claimed: (rows, limit) => rows.slice(0, limit),
  locks: true,
  deletes: 'after',
  onRejected: 'keep',
  rethrows: true,
  appliesNothing: false,
  count: (rows) => rows,
  isDone: (id, ids) => ids.includes(id),
  isTraced: (row, correlationId) => row.correlationId === correlationId,
  tracedAt: (nowMs) => nowMs,
  backlog: (rows, nowMs) => ({
    rows: rows.length,
    oldestMs: rows.length === 0 ? 0 : nowMs - Math.min(...rows.map(({ atMs }) => atMs)),
  }),
}

/** The log that these steps make. Its statement is for its own database alone. */
export function logOfSteps(steps: LogSteps, clock: Clock): Pick<DropLogUnderTest, 'log' | 'db'> {
  let rows: Kept[] = []
  const now = (): number => steps.nowMs(clock)
  const add = (added: readonly DropRow[], atMs: number): void => {
    rows.push(...added.map((row) => ({ ...row, atMs, locked: false })))
  }
  const remove = (gone: ReadonlySet<Kept>): void => void (rows = rows.filter((row) => !gone.has(row)))

  function transactionOf(inserts: (() => void)[]): Tx {
    return {
      async query(_text, values = []) {
        const added = values as readonly DropRow[]
        const atMs = now()
        if (steps.insertsAtOnce) add(added, atMs)
        else inserts.push(() => add(added, atMs))
        return { rows: [] }
      },
    }
  }

  const db: Database = {
    async query(text, values) {
      return db.transaction((tx) => tx.query(text, values))
    },
    async transaction(work) {
      const inserts: (() => void)[] = []
      const commit = (): void => {
        for (const insert of inserts) insert()
      }
      try {
        const value = await work(transactionOf(inserts))
        commit()
        return value
      } catch (error) {
        if (steps.keepsRolledBack) commit()
        throw error
      }
    },
  }

  const log: DropLog = {
    pollMs: 250,
    relayAfterMs: 300,
    statement: (given) => ({ text: 'insert these', values: steps.inserted(given) }),
    async claim(name, { olderThanMs, limit }, apply) {
      const free = rows.filter((row) => steps.ofName(row, name) && steps.mayClaim(row, now(), olderThanMs))
      const mine = steps.claimed(free, limit)
      if (mine.length === 0) return 0
      for (const row of mine) row.locked = steps.locks
      if (steps.deletes === 'before') remove(new Set(mine))
      try {
        if (!steps.appliesNothing) await apply(mine)
      } catch (error) {
        if (steps.onRejected === 'delete') remove(new Set(mine))
        if (steps.onRejected !== 'keep locked') for (const row of mine) row.locked = false
        if (steps.rethrows) throw error
        return 0
      }
      if (steps.deletes === 'after') remove(new Set(mine))
      for (const row of mine) row.locked = false
      return steps.count(mine.length)
    },
    async pending(name, { operation, limit } = {}) {
      const all = rows.filter((row) => steps.ofName(row, name) && steps.isPending(row, operation))
      return steps.limited(all, limit, operation)
    },
    async done(ids) {
      remove(new Set(rows.filter((row) => steps.isDone(row.id, ids, row))))
    },
    async trace(name, correlationId) {
      return rows
        .filter((row) => steps.ofName(row, name) && steps.isTraced(row, correlationId))
        .map(({ scope, tag }) => ({ at: steps.tracedAt(clock.now()), scope, tag }))
    },
    async backlog(name) {
      return steps.backlog(
        rows.filter((row) => steps.ofName(row, name)),
        now(),
      )
    },
  }
  return { log, db }
}
