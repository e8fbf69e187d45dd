import type { Clock, Logger } from '@keelson/kernel'
import type { AuditMetrics } from './metrics.ts'
import type { Row } from './store.ts'
import type { EntryInput, Json } from './audit.ts'

/** Losses that the log itself must tell: one entry for each row of them. */
export interface Gaps {
  lost(reason: string, id?: string): void
  /** The entry that tells what was lost until now; `told` when it is durable, `owed` when it is not. */
  take(): { readonly row: Row; told(): void; owed(): void } | undefined
  readonly dropped: number
  readonly told: number
  readonly isOwed: boolean
}

/** Of one gap; the count says how many there were. */
const MAX_IDS = 100

interface Gap {
  readonly row?: Row
  count: number
  readonly fromMs: number
  untilMs: number
  readonly ids: string[]
  readonly reasons: Set<string>
}

export function createGaps(o: {
  make(entry: EntryInput): Row
  readonly metrics: AuditMetrics
  readonly clock: Clock
  readonly logger: Logger
}): Gaps {
  const { metrics, clock, logger } = o
  let open: Gap | undefined
  /** Written, but nobody knows whether it arrived: it goes again as it is. */
  let sent: Gap[] = []
  let dropped = 0
  let told = 0

  function rowOf(gap: Gap): Row {
    const data: Record<string, Json> = {
      count: gap.count,
      reasons: [...gap.reasons],
      ids: gap.ids,
      from: new Date(gap.fromMs).toISOString(),
      until: new Date(gap.untilMs).toISOString(),
    }
    return o.make(systemEntry('audit.gap', data))
  }

  return {
    lost(reason, id) {
      const nowMs = clock.now()
      if (open === undefined) logger.error({ reason }, 'audit.gap')
      open ??= { count: 0, fromMs: nowMs, untilMs: nowMs, ids: [], reasons: new Set() }
      open.count++
      open.untilMs = nowMs
      open.reasons.add(reason)
      if (id !== undefined && open.ids.length < MAX_IDS) open.ids.push(id)
      dropped++
      metrics.dropped.inc()
    },
    take() {
      if (sent.length === 0 && open !== undefined) {
        sent = [{ ...open, row: rowOf(open) }]
        open = undefined
      }
      const [gap] = sent
      if (gap === undefined) return undefined
      sent = []
      return {
        row: gap.row!,
        told() {
          told++
          metrics.gaps.inc()
        },
        owed() {
          sent.push(gap)
        },
      }
    },
    get dropped() {
      return dropped
    },
    get told() {
      return told
    },
    get isOwed() {
      return open !== undefined || sent.length > 0
    },
  }
}

/** Entries of the log about itself. */
export function systemEntry(action: string, data: Readonly<Record<string, Json>>, scope = 'keelson'): EntryInput {
  return { scope, action, actor: { type: 'system', id: 'keelson.audit' }, data }
}
