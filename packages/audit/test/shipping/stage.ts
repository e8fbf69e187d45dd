import { createHash } from 'node:crypto'
import { silentLogger, uuidv7 } from '@keelson/kernel'
import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { memoryStore, type AuditStore, type Batch, type Outcome, type Sink } from '../../src/index.ts'
import { createAuditMetrics } from '../../src/metrics.ts'
import { createShipper, type Shipper } from '../../src/shipping/shipper.ts'
import type { Delta, Head, Row } from '../../src/store.ts'

/** A log in memory with sealed entries, and a sink that answers as it is told. */
export interface Stage {
  readonly store: AuditStore
  readonly clock: VirtualClock
  /** Every batch that was delivered, as indexes. */
  readonly batches: number[][]
  /** What the sink has by now, in order of arrival. */
  readonly has: number[]
  seal(entries: number): Promise<void>
  /** A shipper of a node of its own. */
  shipper(more?: Partial<Sink>): Shipper
  /** Turns until nothing is due any more within `forMs` of the clock. */
  run(shipper: Shipper, forMs?: number): Promise<void>
  cursor(): Promise<number>
}

export const LOG = 'main'

/** `answer` is asked for each batch; what it answers 'ok' or 'duplicate' counts as received. */
export function openStage(answer: (batch: Batch) => readonly Outcome[] | Promise<readonly Outcome[]>): Stage {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  const batches: number[][] = []
  const has: number[] = []
  let nodes = 0

  const sink: Sink = {
    name: 'test',
    ordered: false,
    maxBatchBytes: 1_000_000,
    maxBatchEntries: 10,
    flushMs: 0,
    timeoutMs: 10_000,
    async deliver(batch) {
      const indexes = batch.entries.map(({ index }) => index)
      batches.push(indexes)
      const outcomes = await answer(batch)
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome === 'ok' || outcome === 'duplicate') has.push(indexes[i]!)
      }
      return outcomes
    },
  }

  return {
    store,
    clock,
    batches,
    has,
    async seal(entries) {
      const rows = Array.from({ length: entries }, (_, i) => ({
        id: uuidv7(clock),
        bytes: Buffer.from(`{"entry":${i}}`),
        keys: [],
      }))
      await store.append(LOG, rows)
      await store.seal(LOG, entries, fold)
    },
    shipper(more = {}) {
      return createShipper({
        log: LOG,
        sink: { ...sink, ...more },
        store,
        work: async (fn) => fn(),
        leafHash: (bytes) => createHash('sha256').update(bytes).digest(),
        owner: `node ${nodes++}`,
        random: () => 1,
        metrics: createAuditMetrics({
          sealLagSeconds: () => 0,
          sealedSize: () => 0,
          spooled: () => 0,
          storeBytes: () => 0,
          sinks: [],
        }),
        clock,
        logger: silentLogger,
      })
    },
    async run(shipper, forMs = 0) {
      let leftMs = forMs
      for (;;) {
        const waitMs = await shipper.turn()
        if (waitMs === 0) continue
        if (waitMs > leftMs) return
        leftMs -= waitMs
        await clock.advance(waitMs)
      }
    },
    cursor: async () => (await store.inspect(LOG)).cursors['test'] ?? 0,
  }
}

/** Hashes are nothing to a shipper. */
function fold(rows: readonly Row[], head: Head): Delta {
  const leaves = rows.map(({ id }, i) => ({
    index: head.size + i,
    id,
    atMs: 0,
    scope: (head.size + i) % 2 === 0 ? 'even' : 'odd',
    actorType: null,
    actorId: null,
    action: 'test.done',
    targetType: null,
    targetId: null,
    outcome: 'success' as const,
    correlationId: null,
    refs: [],
  }))
  return { leaves, tiles: [], head: { size: head.size + rows.length, frontier: new Uint8Array() } }
}
