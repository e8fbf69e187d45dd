import type { StoreGuard } from '@keelson/kernel'
import type { AuditStatus } from './audit.ts'
import type { SinkStatus } from './sink.ts'
import type { StoreStatus } from './store.ts'

/** Sealing that is behind for longer is late. */
const LATE_MS = 10_000

/** How an audit log is, by what its store said last; down while neither store nor spool takes an entry. */
export function statusOf(o: {
  readonly kind: string
  readonly guard: StoreGuard
  readonly last: StoreStatus | undefined
  readonly root: string
  readonly checkpointAt: number | null
  readonly spool: { readonly entries: number; readonly oldestMs: number | null; readonly takes: boolean }
  readonly sinks: Readonly<Record<string, SinkStatus>>
  readonly dropped: number
  readonly gaps: number
}): AuditStatus {
  const { guard, last, sinks, dropped, gaps } = o
  const { openedAt, lastError, state } = guard.stats()
  const isAway = state === 'open'
  const lagMs = last?.oldestUnsealedMs ?? 0
  const halted = Object.values(sinks).some((sink) => sink.state === 'halted')
  const degraded = halted || isAway || lagMs > LATE_MS || dropped > 0
  const all = Object.values(sinks)
  const size = last?.size ?? 0
  const oldest = Math.max(lagMs, ...all.map(({ oldestMs }) => oldestMs ?? 0))
  return {
    name: 'audit',
    state: isAway && !o.spool.takes ? 'down' : degraded ? 'degraded' : 'ok',
    counts: {
      unsealed: last?.unsealed ?? 0,
      sealed: size,
      spooled: o.spool.entries,
      pending: all.reduce((sum, { pending }) => sum + pending, 0),
      dead: all.reduce((sum, { dead }) => sum + dead, 0),
      dropped,
      gaps,
    },
    oldestMs: oldest,
    lagMs,
    ...(openedAt === undefined
      ? {}
      : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: lastError ?? '' } }),
    store: { kind: o.kind, available: !isAway, bytes: last?.bytes ?? 0 },
    durable: size + (last?.unsealed ?? 0),
    sealed: { size, root: o.root, lagMs, checkpointAt: o.checkpointAt },
    spool: { entries: o.spool.entries, oldestMs: o.spool.oldestMs },
    sinks,
    dropped,
    gaps,
  }
}
